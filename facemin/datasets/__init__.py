"""Data sets as small iterables of encoded photos or paths; each carries a note on its licence."""

from facemin.datasets.folder import Folder, PhotoFile
from facemin.datasets.insightface_bin import EncodedPair, InsightFaceBin
from facemin.datasets.insightface_records import InsightFaceRecords, LabelledImage
from facemin.datasets.lfw import LFW, Pair, genuine_pairs, landmarks, lfw_pairs

__all__ = [
    "LFW",
    "EncodedPair",
    "Folder",
    "InsightFaceBin",
    "InsightFaceRecords",
    "LabelledImage",
    "Pair",
    "PhotoFile",
    "genuine_pairs",
    "landmarks",
    "lfw_pairs",
]

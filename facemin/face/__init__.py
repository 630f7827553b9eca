"""Faces: found in a photo, cut out aligned, and put back; arrays, uint8 RGB (H, W, 3)."""

from facemin.face.align import SIDE, TEMPLATE, align, align_unrounded, inside, inverse, similarity
from facemin.face.crop import EDGE, Faces, crop, faces_in, is_aligned, nearest_to_centre
from facemin.face.detect import Detector, Face
from facemin.face.paste import paste
from facemin.face.sample import Border

__all__ = [
    "EDGE",
    "SIDE",
    "TEMPLATE",
    "Border",
    "Detector",
    "Face",
    "Faces",
    "align",
    "align_unrounded",
    "crop",
    "faces_in",
    "inside",
    "inverse",
    "is_aligned",
    "nearest_to_centre",
    "paste",
    "similarity",
]

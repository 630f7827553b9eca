"""Protection: one file per method, one shared optimisation loop."""

from facemin.protect.photo import Failure, ProtectedFace, ProtectedPhoto, protect, protect_photos
from facemin.protect.pmt import PMT
from facemin.protect.rules import L1, RULES, Adam, Rule, Sign
from facemin.protect.starts import GaussianNoise, image_seed
from facemin.protect.steps import Done
from facemin.protect.upload import decode_feature, encode_feature, feature_of

PROTECTORS: dict[str, type[PMT]] = {"pmt": PMT}
"""Methods by name."""

__all__ = [
    "L1",
    "PMT",
    "PROTECTORS",
    "RULES",
    "Adam",
    "Done",
    "Failure",
    "GaussianNoise",
    "ProtectedFace",
    "ProtectedPhoto",
    "Rule",
    "Sign",
    "decode_feature",
    "encode_feature",
    "feature_of",
    "image_seed",
    "protect",
    "protect_photos",
]

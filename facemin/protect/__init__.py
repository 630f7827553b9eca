"""Protection: one file per method, one shared optimisation loop."""

from facemin.protect.frequency import FrequencyMask
from facemin.protect.kernels import Kernel
from facemin.protect.photo import Failure, NothingProtected, ProtectedFace, ProtectedPhoto, protect, protect_photos
from facemin.protect.pmt import PMT
from facemin.protect.presets import DEFAULT_PROTECTOR, METHODS, PROTECTORS, Protector
from facemin.protect.provider_operations import ProviderOperations
from facemin.protect.rules import L1, RULES, Adam, Rule, Sign
from facemin.protect.starts import STARTS, GaussianBlur, GaussianNoise, RandomSort, Start, image_seed
from facemin.protect.steps import Done
from facemin.protect.transforms import Mix, RandomAffine, RandomNoise, Transform
from facemin.protect.upload import decode_feature, encode_feature, feature_of

__all__ = [
    "DEFAULT_PROTECTOR",
    "L1",
    "METHODS",
    "PMT",
    "PROTECTORS",
    "RULES",
    "STARTS",
    "Adam",
    "Done",
    "Failure",
    "FrequencyMask",
    "GaussianBlur",
    "GaussianNoise",
    "Kernel",
    "Mix",
    "NothingProtected",
    "ProtectedFace",
    "ProtectedPhoto",
    "Protector",
    "ProviderOperations",
    "RandomAffine",
    "RandomNoise",
    "RandomSort",
    "Rule",
    "Sign",
    "Start",
    "Transform",
    "decode_feature",
    "encode_feature",
    "feature_of",
    "image_seed",
    "protect",
    "protect_photos",
]

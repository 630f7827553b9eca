"""Protection: the methods, by name, and the paths from photos to protected faces."""

from typing import TYPE_CHECKING

from facemin.runtime.lazy import lazy_exports

if TYPE_CHECKING:
    from facemin.ahm.masking.frequency_mask import FrequencyMask
    from facemin.protection.contract import Check, Protected, Protector, TargetProtector
    from facemin.protection.one_pass.protector import OnePassProtector
    from facemin.protection.photo import ProtectOptions, protect, protect_photos
    from facemin.protection.pmt.degradations import ProviderOperations
    from facemin.protection.pmt.gradient_kernel import Kernel
    from facemin.protection.pmt.initialisation import (
        STARTS,
        GaussianBlur,
        GaussianNoise,
        Initialisation,
        LowFrequencyNoise,
        RandomSort,
        image_seed,
    )
    from facemin.protection.pmt.method import PMT
    from facemin.protection.pmt.optimise import OptimisedImage
    from facemin.protection.pmt.step_rules import L1, RULES, Adam, Sign, StepRule
    from facemin.protection.pmt.transforms import Mix, RandomAffine, RandomNoise, Transform
    from facemin.protection.registry import DEFAULT_PROTECTOR, PROTECTORS
    from facemin.protection.result import Failure, NothingProtected, ProtectedFace, ProtectedPhoto
    from facemin.protection.revealing.check import check_revealing
    from facemin.protection.revealing.finding import Revealing, RevealingKey, RevealingWarning
    from facemin.protection.upload import (
        decode_feature,
        decode_pseudonym,
        encode_feature,
        encode_pseudonym,
        feature_of,
    )
    from facemin.runtime.compute import Compute

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "facemin.ahm.masking.frequency_mask": ("FrequencyMask",),
        "facemin.protection.contract": ("Check", "Protected", "Protector", "TargetProtector"),
        "facemin.protection.one_pass.protector": ("OnePassProtector",),
        "facemin.protection.photo": ("ProtectOptions", "protect", "protect_photos"),
        "facemin.protection.pmt.degradations": ("ProviderOperations",),
        "facemin.protection.pmt.gradient_kernel": ("Kernel",),
        "facemin.protection.pmt.initialisation": (
            "STARTS",
            "GaussianBlur",
            "GaussianNoise",
            "LowFrequencyNoise",
            "RandomSort",
            "Initialisation",
            "image_seed",
        ),
        "facemin.protection.pmt.method": ("PMT",),
        "facemin.protection.pmt.optimise": ("OptimisedImage",),
        "facemin.protection.pmt.step_rules": (
            "L1",
            "RULES",
            "Adam",
            "StepRule",
            "Sign",
        ),
        "facemin.protection.pmt.transforms": (
            "Mix",
            "RandomAffine",
            "RandomNoise",
            "Transform",
        ),
        "facemin.protection.registry": (
            "DEFAULT_PROTECTOR",
            "PROTECTORS",
        ),
        "facemin.runtime.compute": ("Compute",),
        "facemin.protection.result": ("Failure", "NothingProtected", "ProtectedFace", "ProtectedPhoto"),
        "facemin.protection.revealing.finding": ("Revealing", "RevealingKey", "RevealingWarning"),
        "facemin.protection.revealing.check": ("check_revealing",),
        "facemin.protection.upload": (
            "decode_feature",
            "decode_pseudonym",
            "encode_feature",
            "encode_pseudonym",
            "feature_of",
        ),
    },
)

__all__ = [
    "DEFAULT_PROTECTOR",
    "L1",
    "PMT",
    "PROTECTORS",
    "RULES",
    "STARTS",
    "Adam",
    "Check",
    "Compute",
    "Failure",
    "FrequencyMask",
    "GaussianBlur",
    "GaussianNoise",
    "Initialisation",
    "Kernel",
    "LowFrequencyNoise",
    "Mix",
    "NothingProtected",
    "OnePassProtector",
    "OptimisedImage",
    "ProtectOptions",
    "Protected",
    "ProtectedFace",
    "ProtectedPhoto",
    "Protector",
    "ProviderOperations",
    "RandomAffine",
    "RandomNoise",
    "RandomSort",
    "Revealing",
    "RevealingKey",
    "RevealingWarning",
    "Sign",
    "StepRule",
    "TargetProtector",
    "Transform",
    "check_revealing",
    "decode_feature",
    "decode_pseudonym",
    "encode_feature",
    "encode_pseudonym",
    "feature_of",
    "image_seed",
    "protect",
    "protect_photos",
]

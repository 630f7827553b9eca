"""Attacks on protected images, whatever protected them: purification, reconstruction, linkage, attribute inference."""

from facemin.attack.budget import Budget
from facemin.attack.contract import Adversary, Attack, FitError, Knowledge, Linker, Prober, PublicFaces, Reconstructor
from facemin.attack.purify.bilateral import Bilateral
from facemin.attack.purify.median import Median
from facemin.attack.purify.nonlocal_means import NonLocalMeans
from facemin.attack.purify.registry import PROVIDER_OPERATIONS, PURIFIERS, GaussianBlur, Purifier
from facemin.attack.purify.total_variation import TotalVariation
from facemin.attack.registry import ATTACKS
from facemin.evaluation.provider_operations import Jpeg, Resize, Shift

__all__ = [
    "ATTACKS",
    "PROVIDER_OPERATIONS",
    "PURIFIERS",
    "Adversary",
    "Attack",
    "Bilateral",
    "Budget",
    "FitError",
    "GaussianBlur",
    "Jpeg",
    "Knowledge",
    "Linker",
    "Median",
    "NonLocalMeans",
    "Prober",
    "PublicFaces",
    "Purifier",
    "Reconstructor",
    "Resize",
    "Shift",
    "TotalVariation",
]

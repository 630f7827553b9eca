"""What adversaries do with protected images; nothing here knows how they were protected."""

from facemin.attack.adversary import Adversary
from facemin.attack.bilateral import Bilateral
from facemin.attack.median import Median
from facemin.attack.nonlocal_means import NonLocalMeans
from facemin.attack.provider_steps import Jpeg, Resize, Shift
from facemin.attack.purifiers import PROVIDER_OPERATIONS, PURIFIERS, GaussianBlur, Purifier
from facemin.attack.registry import ATTACKS, Attack
from facemin.attack.total_variation import TotalVariation

__all__ = [
    "ATTACKS",
    "PROVIDER_OPERATIONS",
    "PURIFIERS",
    "Adversary",
    "Attack",
    "Bilateral",
    "GaussianBlur",
    "Jpeg",
    "Median",
    "NonLocalMeans",
    "Purifier",
    "Resize",
    "Shift",
    "TotalVariation",
]

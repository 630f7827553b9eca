"""Adaptive Hybrid Masking: a recogniser on masked and mixed faces, and the strategy network that mixes against it.

Source: Wang et al. 2024, Adaptive Hybrid Masking Strategy for Privacy-Preserving Face Recognition Against Model
Inversion Attack. Only its abstract and patents are public; what is here is our reading of them (docs/ahm.md).
"""

from facemin.ahm.config import AHMConfig, read_ahm_config
from facemin.ahm.loop import train_ahm
from facemin.ahm.query import MixedQueries
from facemin.ahm.result import load_trained

__all__ = ["AHMConfig", "MixedQueries", "load_trained", "read_ahm_config", "train_ahm"]

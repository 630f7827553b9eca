"""Training a recogniser: a configuration file, one device or many, interrupted and resumed to the same weights."""

from facemin.train.config import TrainingConfig, read_config
from facemin.train.loop import train
from facemin.train.progress import Outcome, Progress, Watch

__all__ = ["Outcome", "Progress", "TrainingConfig", "Watch", "read_config", "train"]

"""What adversaries do with protected images; nothing here knows how they were protected."""

from facemin.attack.provider_steps import Jpeg, Resize, Shift
from facemin.attack.purifiers import PURIFIERS, GaussianBlur, Purifier

__all__ = ["PURIFIERS", "GaussianBlur", "Jpeg", "Purifier", "Resize", "Shift"]

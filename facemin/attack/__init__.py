"""What adversaries do with protected images; nothing here knows how they were protected."""

from facemin.attack.purifiers import PURIFIERS, GaussianBlur, Purifier

__all__ = ["PURIFIERS", "GaussianBlur", "Purifier"]

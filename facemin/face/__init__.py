"""Faces: found in a photo, cut out aligned, and put back."""

from facemin.face.align import SIDE, TEMPLATE, align, inside, inverse, paste, similarity
from facemin.face.detect import Detector, Face

__all__ = ["SIDE", "TEMPLATE", "Detector", "Face", "align", "inside", "inverse", "paste", "similarity"]

"""Faces: found in a photo, cut out aligned, and put back."""

from facemin.face.align import SIDE, TEMPLATE, align, inside, inverse, paste, similarity
from facemin.face.detect import Detector, Face
from facemin.face.sample import Border

__all__ = ["SIDE", "TEMPLATE", "Border", "Detector", "Face", "align", "inside", "inverse", "paste", "similarity"]

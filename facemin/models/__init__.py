"""Recognisers: real networks with named cuts, each an ONNX graph made differentiable."""

from facemin.models.recogniser import Cut, Recogniser, ServerModel
from facemin.models.registry import DEFAULT_MODEL, MODELS, load_recogniser

__all__ = ["DEFAULT_MODEL", "MODELS", "Cut", "Recogniser", "ServerModel", "load_recogniser"]

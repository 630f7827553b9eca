"""Recognisers: real networks with named cuts, each an ONNX graph."""

from typing import TYPE_CHECKING

from facemin.runtime.lazy import lazy_exports

if TYPE_CHECKING:
    from facemin.autograd.opening import load_recogniser
    from facemin.autograd.recogniser import Recogniser, ServerModel
    from facemin.models.recogniser import Cut, RecogniserGraph
    from facemin.models.registry import DEFAULT_MODEL, MODELS, SPACE_MODEL, load_graph

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "facemin.autograd.opening": ("load_recogniser",),
        "facemin.autograd.recogniser": ("Recogniser", "ServerModel"),
        "facemin.models.recogniser": ("Cut", "RecogniserGraph"),
        "facemin.models.registry": ("DEFAULT_MODEL", "MODELS", "SPACE_MODEL", "load_graph"),
    },
)

__all__ = [
    "DEFAULT_MODEL",
    "MODELS",
    "SPACE_MODEL",
    "Cut",
    "Recogniser",
    "RecogniserGraph",
    "ServerModel",
    "load_graph",
    "load_recogniser",
]

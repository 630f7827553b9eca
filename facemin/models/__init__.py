"""Recognisers: real networks with named cuts, each an ONNX graph made differentiable."""

from typing import TYPE_CHECKING

from facemin.runtime.lazy import lazy_exports

if TYPE_CHECKING:
    from facemin.models.recogniser import Cut, Recogniser, ServerModel
    from facemin.models.registry import DEFAULT_MODEL, MODELS, SPACE_MODEL, load_recogniser

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "facemin.models.recogniser": ("Cut", "Recogniser", "ServerModel"),
        "facemin.models.registry": ("DEFAULT_MODEL", "MODELS", "SPACE_MODEL", "load_recogniser"),
    },
)

__all__ = ["DEFAULT_MODEL", "MODELS", "SPACE_MODEL", "Cut", "Recogniser", "ServerModel", "load_recogniser"]

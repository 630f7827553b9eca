"""The recognisers that come with facemin, and how to open one by name or from a file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from facemin.models import dlib_resnet
from facemin.models.onnx.graph import read_graph
from facemin.models.preprocess import BYTE_RANGE, Preprocess, prepend_preprocessing
from facemin.models.recogniser import Recogniser
from facemin.runtime.errors import InvalidModel, told_as

if TYPE_CHECKING:
    from collections.abc import Callable


class Entry(NamedTuple):
    """A recogniser that can be opened by name."""

    open: Callable[[], Recogniser]
    licence: str
    source: str
    default_cut: str


@cache
def dlib_resnet29() -> Recogniser:
    """Dlib's ResNet-29; the same object each time, since a recogniser is never changed by use."""
    return Recogniser(dlib_resnet.graph(), name="dlib-resnet29", cuts=dlib_resnet.CUTS)


MODELS: dict[str, Entry] = {
    "dlib-resnet29": Entry(
        dlib_resnet29,
        licence="CC0-1.0",
        source="dlib (Davis King), from the PyPI package face-recognition-models",
        default_cut="pooled",
    ),
}
"""Recognisers by name."""

DEFAULT_MODEL = "dlib-resnet29"


@told_as(InvalidModel)
def load_recogniser(name: str | Path, *, preprocess: Preprocess | None = None) -> Recogniser:
    """Open a recogniser by its name, or from an ONNX file.

    Args:
        name: one of `MODELS`, or a path that ends in `.onnx`.
        preprocess: how the file's graph wants its faces; RGB in [0, 255] when None. Not for a name.

    Raises:
        ValueError: an unknown name, or a file that is not a recogniser; see `read_graph`.
        FileNotFoundError: when the file does not exist.
    """
    if str(name) in MODELS:
        return MODELS[str(name)].open()
    path = Path(name)
    if path.suffix.lower() != ".onnx":
        raise ValueError(f"model: expected one of {', '.join(MODELS)}, or an .onnx file; got {str(name)!r}")
    graph = prepend_preprocessing(read_graph(path), preprocess or BYTE_RANGE)
    return Recogniser(graph, name=path.stem)

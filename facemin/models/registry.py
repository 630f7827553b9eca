"""The recognisers that come with facemin, and how to open one by name or from a file."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facemin.models import dlib_resnet
from facemin.models.imported import import_graph
from facemin.models.preprocess import BYTE_RANGE, Preprocess
from facemin.models.recogniser import RecogniserGraph
from facemin.models.space import SpaceDeclaration
from facemin.models.space_fit import OUTPUT, SpaceMap, append_space
from facemin.runtime.errors import InvalidModel, told_as

if TYPE_CHECKING:
    from collections.abc import Callable


class Entry(NamedTuple):
    """A recogniser that can be opened by name."""

    graph: Callable[[], RecogniserGraph]
    """As onnxruntime runs it."""
    licence: str
    source: str
    default_cut: str


@cache
def dlib_resnet29() -> RecogniserGraph:
    """Dlib's ResNet-29; the same object each time, since a recogniser is never changed by use."""
    return RecogniserGraph(dlib_resnet.graph(), name="dlib-resnet29", cuts=dlib_resnet.CUTS)


@cache
def dlib_resnet29_space66() -> RecogniserGraph:
    """Dlib's ResNet-29 with the space of 66 dimensions after it; the same object each time."""
    fitted, declaration = shipped_space("dlib-resnet29-space66")
    graph = append_space(dlib_resnet.graph(), fitted)
    cuts = (*dlib_resnet.CUTS, "embedding", OUTPUT)
    return RecogniserGraph(graph, name="dlib-resnet29-space66", cuts=cuts, space=declaration)


def shipped_space(name: str) -> tuple[SpaceMap, SpaceDeclaration]:
    """The map of a space that comes with facemin, and what is declared of it; the file never changes.

    It says where in the embedding's space thousands of faces lie on average, and along which axes they vary; nothing
    of one face.

    Args:
        name: of its model.
    """
    folder = resources.files("facemin.models") / "spaces"
    declaration = SpaceDeclaration.model_validate_json((folder / f"{name}.json").read_bytes())
    with (folder / f"{name}.npz").open("rb") as file:
        arrays = np.load(file, allow_pickle=False)
        return SpaceMap(mean=arrays["mean"], matrix=arrays["matrix"]), declaration


MODELS: dict[str, Entry] = {
    "dlib-resnet29": Entry(
        dlib_resnet29,
        licence="CC0-1.0",
        source="dlib (Davis King), from the PyPI package face-recognition-models",
        default_cut="pooled",
    ),
    "dlib-resnet29-space66": Entry(
        dlib_resnet29_space66,
        licence="CC0-1.0",
        source="dlib (Davis King), from the PyPI package face-recognition-models; its space fitted by facemin",
        default_cut=OUTPUT,
    ),
}
"""Recognisers by name."""

DEFAULT_MODEL = "dlib-resnet29"

SPACE_MODEL = "dlib-resnet29-space66"
"""The model of the default key, in whose space pseudonyms are made."""


@told_as(InvalidModel)
def load_graph(name: str | Path, *, preprocess: Preprocess | None = None) -> RecogniserGraph:
    """Open a recogniser by its name, or from an ONNX file, for onnxruntime.

    Args:
        name: one of `MODELS`, or a path that ends in `.onnx`.
        preprocess: how the file's graph wants its faces; RGB in [0, 255] when None. Not for a name.

    Raises:
        ValueError: an unknown name, or a file that is refused; see `import_graph`.
        FileNotFoundError: when the file does not exist.
    """
    if str(name) in MODELS:
        return MODELS[str(name)].graph()
    path = onnx_file(name)
    return import_graph(path, name=path.stem, preprocess=preprocess or BYTE_RANGE, label=path.name)


def onnx_file(name: str | Path) -> Path:
    """The path of a recogniser's file.

    Raises:
        ValueError: it is none.
    """
    path = Path(name)
    if path.suffix.lower() != ".onnx":
        raise ValueError(f"model: expected one of {', '.join(MODELS)}, or an .onnx file; got {str(name)!r}")
    return path

"""Recognisers as differentiable modules: by name, from the store, or from an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from facemin.autograd.recogniser import agreeing, differentiable
from facemin.models.imported import read_recogniser
from facemin.models.preprocess import BYTE_RANGE
from facemin.models.registry import MODELS, onnx_file
from facemin.models.store import ModelStore, open_graph
from facemin.runtime.errors import InvalidModel, told_as

if TYPE_CHECKING:
    from facemin.autograd.recogniser import Recogniser
    from facemin.models.preprocess import Preprocess


@told_as(InvalidModel)
def load_recogniser(name: str | Path, *, preprocess: Preprocess | None = None) -> Recogniser:
    """Open a recogniser by its name, or from an ONNX file, differentiable.

    Args:
        name: as in `facemin.models.load_graph`.
        preprocess: likewise.

    Raises:
        ValueError: an unknown name, or a file that is refused; see `agreeing`.
        FileNotFoundError: when the file does not exist.
    """
    if str(name) in MODELS:
        return differentiable(MODELS[str(name)].graph())
    path = onnx_file(name)
    found = read_recogniser(path, name=path.stem, preprocess=preprocess or BYTE_RANGE, label=path.name)
    return agreeing(found, label=path.name)


def open_model(name: str | Path, *, preprocess: Preprocess | None = None) -> Recogniser:
    """The same of a stored one too: one that comes with facemin, else a stored one, else an ONNX file.

    Args:
        name: as in `facemin.models.store.open_graph`.
        preprocess: likewise.

    Raises:
        ValueError: as for `open_graph`, or a graph that torch would compute otherwise.
        FileNotFoundError: when the file does not exist.
    """
    found = open_graph(name, preprocess=preprocess)
    known = str(name) in MODELS or str(name) in ModelStore()
    return differentiable(found) if known else agreeing(found, label=Path(name).name)

"""A stranger's ONNX file as a recogniser, tried on onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facemin.models.onnx.graph import read_graph
from facemin.models.preprocess import Preprocess, prepend_preprocessing
from facemin.models.recogniser import RecogniserGraph

if TYPE_CHECKING:
    from pathlib import Path

    from facemin.models.space import SpaceDeclaration


def read_recogniser(
    source: bytes | Path,
    *,
    name: str,
    preprocess: Preprocess,
    label: str | None = None,
    space: SpaceDeclaration | None = None,
) -> RecogniserGraph:
    """Read a recogniser.

    Args:
        source: an ONNX file's bytes, or its path.
        name: what tables and manifests call it.
        preprocess: how its graph wants faces, and which of its outputs is the embedding.
        label: what to call the file in errors; its name where None.
        space: what is declared of its embedding where that is a unit-length space.

    Raises:
        ValueError: it is refused; see `read_graph` and `RecogniserGraph`.
        OSError: the path cannot be read.
    """
    graph = read_graph(source, name=label or name, layout=preprocess.layout, output=preprocess.output)
    return RecogniserGraph(prepend_preprocessing(graph, preprocess), name=name, space=space)


def import_graph(
    source: bytes | Path, *, name: str, preprocess: Preprocess, label: str | None = None
) -> RecogniserGraph:
    """The same, refused too where onnxruntime does not run it or tells no faces apart by it.

    Raises:
        ValueError: as for `read_recogniser` and `reference_embeddings`.
        OSError: the path cannot be read.
    """
    # with it comes onnxruntime, which what is in the store does without
    from facemin.models.onnx.trial import reference_embeddings

    recogniser = read_recogniser(source, name=name, preprocess=preprocess, label=label)
    reference_embeddings(recogniser.graph, name=label or name)
    return recogniser

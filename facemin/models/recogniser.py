"""The recogniser contract: an aligned face to a unit embedding, splittable at named cuts."""

from __future__ import annotations

import hashlib
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, NamedTuple, NotRequired, TypedDict

import numpy as np
from onnx import helper, numpy_helper

from facemin.models.onnx.analysis.shapes import graph_shapes
from facemin.models.onnx.graph import bottlenecks, extract
from facemin.models.onnx.limits import GraphLimits
from facemin.pseudonym.rotation import unit_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto

    from facemin.models.onnx.run import FaceRunner
    from facemin.models.space import SpaceDeclaration

FACE_SHAPE = (3, 112, 112)


class Cut(NamedTuple):
    """A place where a recogniser may be split."""

    name: str
    shape: tuple[int, ...]
    """Of one face's feature there."""
    parameters: int
    """Of the shallow model, up to here."""
    share: float
    """Of the whole network's multiply-accumulates that lie before the cut, in [0, 1]."""


class AboutRecogniser(TypedDict):
    """Keywords of `RecogniserGraph` and its differentiable twin.

    Attributes:
        name: what tables and manifests call it.
        cuts: names of the values where it may be split; every bottleneck of the graph when None.
        space: what is to be declared of its embedding where that is a unit-length space; keys cut there declare it.
    """

    name: str
    cuts: NotRequired[tuple[str, ...] | None]
    space: NotRequired[SpaceDeclaration | None]


class RecogniserGraph:
    """A network from aligned faces to unit embeddings, as an ONNX graph that onnxruntime runs.

    Its differentiable twin is `autograd.recogniser.Recogniser`.

    Args:
        graph: takes (batch, 3, 112, 112), RGB in [0, 1]; its one output is the embedding, of any length.
        name: see `AboutRecogniser`, as for the others.
        cuts: likewise.
        space: likewise.

    Raises:
        ValueError: when the graph takes another input, or a named cut is not a bottleneck of it.
    """

    def __init__(
        self,
        graph: ModelProto,
        *,
        name: str,
        cuts: tuple[str, ...] | None = None,
        space: SpaceDeclaration | None = None,
    ) -> None:
        if len(graph.graph.output) > 1:
            names = ", ".join(value.name for value in graph.graph.output)
            raise ValueError(f"{name}: expected one output, the embedding, got {names}: name it (--output NAME)")
        self.name, self.graph, self.space = name, graph, space
        known = graph_shapes(graph, limits=GraphLimits())
        taken = tuple(known.shapes[image][1:] for image in known.inputs)
        if taken != (FACE_SHAPE,):
            raise ValueError(f"{name}: expected a graph that takes faces {FACE_SHAPE}, got one that takes {taken}")
        if known.outputs[0] not in known.shapes:
            raise ValueError(f"{name}: expected an output that images change, got {known.outputs[0]!r:.80}")
        self.output_shape = known.shapes[known.outputs[0]][1:]
        if self.embedding_size < 2:
            raise ValueError(
                f"{name}: expected an embedding of two numbers or more, got {self.output_shape}: another output "
                "may be the embedding (--output NAME)"
            )
        found = {
            place.name: Cut(place.name, place.shape, place.parameters, place.share) for place in bottlenecks(graph)
        }
        absent = [cut for cut in cuts or () if cut not in found]
        if absent:
            raise ValueError(f"{name}: expected cuts that the whole face flows through, got {absent}")
        self.cuts = tuple(found.values()) if cuts is None else tuple(found[cut] for cut in cuts)
        if space is not None and self.output_shape != (space.dimension,):
            raise ValueError(
                f"{name}: expected embeddings of the space's {space.dimension} numbers, got {self.output_shape}"
            )

    @property
    def embedding_size(self) -> int:
        """Length of an embedding."""
        return prod(self.output_shape)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, of what the graph computes: its operators, their wiring and its weights.

        Unlike a file's hash it does not depend on who wrote the file, so a calibration can name its model by it.
        """
        digest = hashlib.sha256()
        for tensor in self.graph.graph.initializer:
            array = numpy_helper.to_array(tensor)
            digest.update(f"{tensor.name} {array.dtype} {array.shape}".encode() + array.tobytes())
        for node in self.graph.graph.node:
            attributes = sorted((a.name, str(helper.get_attribute_value(a))) for a in node.attribute)
            digest.update(repr((node.op_type, list(node.input), list(node.output), attributes)).encode())
        # where the nodes alone leave open which value is the embedding, or what an operator means
        output = self.graph.graph.output[0].name
        ends = {name for node in self.graph.graph.node for name in node.output if name}
        ends -= {name for node in self.graph.graph.node for name in node.input}
        if ends != {output}:
            digest.update(f"output {output}".encode())
        if any(node.op_type in _FLATTENING for node in self.graph.graph.node):
            version = next(each.version for each in self.graph.opset_import if each.domain in ("", "ai.onnx"))
            digest.update(b"flattens" if version < _FLATTENED_BEFORE else b"")
        return digest.hexdigest()

    def cut(self, name: str) -> Cut:
        """The cut of that name.

        Raises:
            ValueError: when there is none; the message lists those there are.
        """
        for cut in self.cuts:
            if cut.name == name:
                return cut
        raise ValueError(f"{self.name}: expected a cut among {', '.join(c.name for c in self.cuts)}; got {name!r}")

    def shallow_graph(self, cut: str, layers: tuple[str, ...] = ()) -> ModelProto:
        """The part up to a cut, E_c, as a graph of its own.

        Args:
            cut: its last output.
            layers: earlier cuts that it gives too, before the last.

        Raises:
            ValueError: an unknown cut, or a layer that does not lie before the cut.
        """
        return extract(self.graph, end=self.cut(cut).name, layers=tuple(self.cut(layer).name for layer in layers))

    @cached_property
    def network(self) -> FaceRunner:
        """The whole network on onnxruntime, one thread: aligned faces, uint8 (N, 112, 112, 3), to (N, *embedding)."""
        from facemin.models.onnx.run import FaceRunner

        return FaceRunner(self.graph.SerializeToString())

    def embed(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embeddings of aligned faces, without torch.

        Args:
            faces: RGB, uint8, (N, 112, 112, 3).

        Returns:
            (N, D) float32, rows of unit length.

        Raises:
            ValueError: another shape or type, no face, or embeddings that are not finite or have no direction.
        """
        rows = self.network(faces)
        return unit_rows(rows.reshape(len(rows), -1)).astype(np.float32)

    def embed_values(self, values: NDArray[np.float32], *, cut: str | None = None) -> NDArray[np.float64]:
        """Embeddings of what is no 8-bit image, without torch.

        Args:
            values: of a cut, features (N, *shape); without one, aligned faces (N, 3, 112, 112) in [0, 1].
            cut: where they enter.

        Returns:
            (N, D) float64, rows of unit length.

        Raises:
            ValueError: an unknown cut, another shape, or embeddings that are not finite or have no direction.
        """
        from facemin.models.onnx.run import FloatRunner

        graph = self.graph if cut is None else self.head_graph(cut)
        rows = values if graph is None else FloatRunner(graph.SerializeToString())(values)
        return unit_rows(rows.reshape(len(rows), -1))

    def head_graph(self, cut: str) -> ModelProto | None:
        """The part after a cut, E_s, as a graph of its own; None where nothing is left to compute.

        Raises:
            ValueError: an unknown cut.
        """
        output = self.graph.graph.output[0].name
        return None if self.cut(cut).name == output else extract(self.graph, start=self.cut(cut).name, end=output)


_FLATTENING, _FLATTENED_BEFORE = frozenset({"Softmax", "LogSoftmax", "Hardmax"}), 13
"""Operators that took all later axes for one before this version of ONNX's own operators."""

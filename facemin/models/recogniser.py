"""The recogniser contract: an aligned face to a unit embedding, splittable at named cuts."""

from __future__ import annotations

import hashlib
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from onnx import helper, numpy_helper
from torch import nn
from torch.nn import functional as F

from facemin.autograd.module import OnnxModule
from facemin.models.onnx.graph import bottlenecks, extract

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch import Tensor

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


class Recogniser(nn.Module):
    """A network from aligned faces to unit embeddings, as an ONNX graph made differentiable.

    Always in eval mode, and without gradients on its weights.

    Args:
        graph: takes (batch, 3, 112, 112), RGB in [0, 1]; its one output is the embedding, of any length.
        name: what tables and manifests call it.
        cuts: names of the values where it may be split; every bottleneck of the graph when None.
        space: what is to be declared of its embedding where that is a unit-length space; keys cut there declare it.

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
        super().__init__()
        if len(graph.graph.output) > 1:
            names = ", ".join(value.name for value in graph.graph.output)
            raise ValueError(f"{name}: expected one output, the embedding, got {names}: name it (--output NAME)")
        self.name, self.graph, self.space = name, graph, space
        self.whole = OnnxModule(graph)
        if self.whole.input_shapes != (FACE_SHAPE,):
            raise ValueError(
                f"{name}: expected a graph that takes faces {FACE_SHAPE}, got one that takes {self.whole.input_shapes}"
            )
        if self.embedding_size < 2:
            raise ValueError(
                f"{name}: expected an embedding of two numbers or more, got {self.whole.output_shape}: another output "
                "may be the embedding (--output NAME)"
            )
        found = {
            place.name: Cut(place.name, place.shape, place.parameters, place.share) for place in bottlenecks(graph)
        }
        absent = [cut for cut in cuts or () if cut not in found]
        if absent:
            raise ValueError(f"{name}: expected cuts that the whole face flows through, got {absent}")
        self.cuts = tuple(found.values()) if cuts is None else tuple(found[cut] for cut in cuts)
        if space is not None and tuple(self.whole.output_shape) != (space.dimension,):
            raise ValueError(
                f"{name}: expected embeddings of the space's {space.dimension} numbers, got {self.whole.output_shape}"
            )
        self.requires_grad_(False).eval()

    @property
    def embedding_size(self) -> int:
        """Length of an embedding."""
        return prod(self.whole.output_shape)

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

    def forward(self, faces: Tensor) -> Tensor:
        """Embed faces (B, 3, 112, 112), RGB in [0, 1], as rows of unit length (B, D)."""
        return F.normalize(self.whole(faces).flatten(1))

    def train(self, mode: bool = True) -> Recogniser:
        """Use never changes a recogniser: it stays in eval mode whatever is asked."""
        del mode
        return super().train(False)

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

    def until(self, cut: str) -> OnnxModule:
        """E_c: faces (B, 3, 112, 112) in [0, 1] to features (B, *shape of the cut).

        Source: PMT section 4, the shallow model that users hold.
        """
        return OnnxModule(self.shallow_graph(cut)).eval()

    def after(self, cut: str) -> ServerModel:
        """E_s: features (B, *shape of the cut) to unit embeddings (B, D); what the provider keeps."""
        output = self.graph.graph.output[0].name
        if self.cut(cut).name == output:
            # whoever is sent the embedding has nothing left to compute
            return ServerModel(nn.Identity()).eval()
        return ServerModel(OnnxModule(extract(self.graph, start=self.cut(cut).name, end=output))).eval()


_FLATTENING, _FLATTENED_BEFORE = frozenset({"Softmax", "LogSoftmax", "Hardmax"}), 13
"""Operators that took all later axes for one before this version of ONNX's own operators."""


class ServerModel(nn.Module):
    """The rest of a recogniser after a cut, ending in rows of unit length."""

    def __init__(self, rest: nn.Module) -> None:
        super().__init__()
        self.rest = rest

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, *shape of the cut) to unit embeddings (B, D)."""
        return F.normalize(self.rest(features).flatten(1))

"""The recogniser as a differentiable module: an aligned face to a unit embedding, split at named cuts."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from torch import nn
from torch.nn import functional as F

from facemin.autograd.agreement import check_agreement
from facemin.autograd.module import OnnxModule
from facemin.models.onnx.graph import extract
from facemin.models.recogniser import RecogniserGraph

if TYPE_CHECKING:
    from typing import Unpack

    from onnx import ModelProto
    from torch import Tensor

    from facemin.models.recogniser import AboutRecogniser


class Recogniser(RecogniserGraph, nn.Module):
    """A network from aligned faces to unit embeddings, as an ONNX graph made differentiable.

    Always in eval mode, and without gradients on its weights.

    Args:
        graph: see `RecogniserGraph`.
        **about: likewise.

    Raises:
        ValueError: as for `RecogniserGraph`.
    """

    def __init__(
        self,
        graph: ModelProto,
        **about: Unpack[AboutRecogniser],
    ) -> None:
        nn.Module.__init__(self)
        RecogniserGraph.__init__(self, graph, **about)
        self.module = OnnxModule(graph)
        self.requires_grad_(False).eval()

    def forward(self, faces: Tensor) -> Tensor:
        """Embed faces (B, 3, 112, 112), RGB in [0, 1], as rows of unit length (B, D)."""
        return F.normalize(self.module(faces).flatten(1))

    def train(self, mode: bool = True) -> Recogniser:
        """Use never changes a recogniser: it stays in eval mode whatever is asked."""
        del mode
        return super().train(False)

    def front(self, cut: str) -> OnnxModule:
        """E_c: faces (B, 3, 112, 112) in [0, 1] to features (B, *shape of the cut).

        Source: PMT section 4, the shallow model that users hold.
        """
        return OnnxModule(self.shallow_graph(cut)).eval()

    def head(self, cut: str) -> ServerModel:
        """E_s: features (B, *shape of the cut) to unit embeddings (B, D); what the provider keeps."""
        output = self.graph.graph.output[0].name
        if self.cut(cut).name == output:
            # whoever is sent the embedding has nothing left to compute
            return ServerModel(nn.Identity()).eval()
        return ServerModel(OnnxModule(extract(self.graph, start=self.cut(cut).name, end=output))).eval()


class ServerModel(nn.Module):
    """The rest of a recogniser after a cut, ending in rows of unit length."""

    def __init__(self, rest: nn.Module) -> None:
        super().__init__()
        self.rest = rest

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, *shape of the cut) to unit embeddings (B, D)."""
        return F.normalize(self.rest(features).flatten(1))


def differentiable(recogniser: RecogniserGraph) -> Recogniser:
    """The same recogniser, differentiable; the same object each time, since a recogniser is never changed by use."""
    return recogniser if isinstance(recogniser, Recogniser) else _made(recogniser)


@lru_cache(maxsize=8)
def _made(recogniser: RecogniserGraph) -> Recogniser:
    cuts = tuple(cut.name for cut in recogniser.cuts)
    return Recogniser(recogniser.graph, name=recogniser.name, cuts=cuts, space=recogniser.space)


def agreeing(recogniser: RecogniserGraph, *, label: str) -> Recogniser:
    """A stranger's recogniser, differentiable, refused where onnxruntime computes anything else.

    Args:
        recogniser: as it was read.
        label: what to call the file in errors.

    Raises:
        ValueError: an operator that has no gradient here, or as for `check_agreement`.
    """
    try:
        made = differentiable(recogniser)
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from error
    check_agreement(made.graph, made.module, name=label)
    return made

"""A recogniser's graph with weights that can be trained: what an attacker begins from who has little data."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.models import Recogniser


class Trainable(nn.Module):
    """A copy of a recogniser whose convolutions, matrices and activations are trained on; the recogniser stays.

    Its batch normalisations are the fixed scales and shifts that the graph holds.

    Args:
        recogniser: faces (B, 3, 112, 112) in [0, 1] to unit embeddings (B, D).
    """

    def __init__(self, recogniser: Recogniser) -> None:
        super().__init__()
        graph = copy.deepcopy(recogniser.module)
        # a tuple keeps the graph's own copy of the weights out of this module's state
        self._graph = (graph,)
        named = {name: tensor for name, tensor in graph.named_buffers() if _is_weight(tensor)}
        self.weights = nn.ParameterDict({name: nn.Parameter(tensor.clone()) for name, tensor in named.items()})

    def forward(self, faces: Tensor) -> Tensor:
        """Unit embeddings (B, D)."""
        held = {name: weight.to(faces.device) for name, weight in self.weights.items()}
        graph = self._graph[0].to(faces.device)
        with torch.set_grad_enabled(True):
            # the graph runs on the weights it is given only where the image too asks for a gradient
            asking = faces if faces.requires_grad else faces.detach().requires_grad_()
            rows: Tensor = functional_call(graph, held, (asking,))
        rows = F.normalize(rows.flatten(1).float())
        return rows if torch.is_grad_enabled() else rows.detach()


def _is_weight(tensor: Tensor) -> bool:
    """Whether a constant is trained: floating, of more than one value."""
    return tensor.is_floating_point() and tensor.numel() > 1

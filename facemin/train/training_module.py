"""Training module: a family's network with a head, and the optimiser of their weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from facemin.train.families import FAMILIES
from facemin.train.heads import HEADS

if TYPE_CHECKING:
    from facemin.train.config import Head, Model, Optimiser

_CHANNELS_AT_ONCE = 16


class TrainingModule(nn.Module):
    """A network and its head as one module, so that one wrapper synchronises the gradients of both.

    Args:
        model: the network's configuration.
        head: the head's.
        classes: number of people trained on.

    Raises:
        ValueError: settings that the family does not take.
    """

    def __init__(self, model: Model, head: Head, *, classes: int) -> None:
        super().__init__()
        self.network = build(model)
        self.head = HEADS[head.kind](_embedding_size(self.network), classes, head.settings())

    def forward(self, faces: Tensor, labels: Tensor, *, annealing: float = 0.0) -> Tensor:
        """Mean loss in nats, (), of faces (B, 3, 112, 112) in [0, 1] and their classes (B,)."""
        losses: Tensor = self.head(self.network(faces), labels, annealing=annealing)
        return losses.mean()


def build(model: Model) -> nn.Sequential:
    """An untrained network, its weights drawn from torch's default generator.

    Raises:
        ValueError: settings that the family does not take.
    """
    try:
        return FAMILIES[model.family](**model.settings())
    except TypeError:
        raise ValueError(
            f"model: expected settings that {model.family} takes, got {', '.join(model.settings())}"
        ) from None


def make_optimiser(trainee: nn.Module, settings: Optimiser) -> torch.optim.SGD:
    """SGD with momentum and weight decay, over a network's and a head's weights.

    Source: for what decay leaves out, He et al. 2019 (Bag of Tricks), section 3.1.
    """
    weights = [weight for weight in trainee.parameters() if weight.requires_grad]
    decayed = [weight for weight in weights if settings.decay_all or weight.ndim > 1]
    others = [weight for weight in weights if not (settings.decay_all or weight.ndim > 1)]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.SGD([group for group in groups if group["params"]], lr=settings.rate, momentum=settings.momentum)


def layout(network: nn.Module) -> torch.memory_format:
    """How a network's weights and faces lie in memory: channels last, where that is safe.

    Networks of many small convolutions train up to one and a half times as fast on it. But oneDNN (its issue 6035)
    writes beyond its memory, or wrong gradients, for a strided 1 x 1 convolution of fewer channels than it takes at
    once, 16 at most.
    """
    narrow = (
        module.kernel_size == (1, 1) and module.stride != (1, 1) and module.in_channels < _CHANNELS_AT_ONCE
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
    )
    return torch.contiguous_format if any(narrow) else torch.channels_last


def faces_of(pixels: Tensor, flips: Tensor, *, memory_format: torch.memory_format) -> Tensor:
    """Faces uint8 (B, 3, 112, 112), mirrored where flips (B,) bool says so, as float32 in [0, 1]."""
    mirrored = torch.where(flips[:, None, None, None], pixels.flip(3), pixels)
    return (mirrored.float() / 255).contiguous(memory_format=memory_format)


def _embedding_size(network: nn.Module) -> int:
    """Asked of the network itself, since a family has a default of its own."""
    was_training = network.training
    network.eval()
    with torch.no_grad():
        size = int(network(torch.zeros(1, 3, 112, 112)).shape[1])
    network.train(was_training)
    return size

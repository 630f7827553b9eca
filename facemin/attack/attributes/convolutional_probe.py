"""A convolutional attribute attack (row T2): a small network trained on protected images whose attributes are known."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facemin.attack.attributes.probe import people_folds
from facemin.attack.contract import FittedProber
from facemin.attack.datasets import HeldPairs
from facemin.attack.features import BATCH
from facemin.attack.training import Fitting, fit, weights_drawn_from
from facemin.autograd.pixels import to_unit
from facemin.runtime.ranges import ranges

if TYPE_CHECKING:
    from facemin.attack.budget import Budget
    from facemin.attack.contract import Knowledge

SIDE = 56
"""Images are averaged to this side: what a protected image leaks is coarse."""


@dataclass(frozen=True, kw_only=True)
@ranges({"integer [2, inf)": "folds", "integer [1, inf)": "width"})
class ConvolutionalProbe:
    """Predicts every image's class from other people's images; each fold's network is trained from nothing.

    Args:
        folds: people are split into so many parts, at least 2; each is predicted from the others.
        width: channels of the first layer.
        fitting: epochs, rate and so on.

    Raises:
        ValueError: a setting out of range.
    """

    folds: int = 4
    width: int = 16
    fitting: Fitting = field(default_factory=lambda: Fitting(epochs=12, batch=16, rate=2e-3))

    def fit(self, knowledge: Knowledge, budget: Budget) -> FittedProber:
        """See `facemin.attack.contract.Prober`; it is trained where it is applied, on other people's images."""
        del budget
        seeded = replace(self, fitting=replace(self.fitting, seed=knowledge.seed))
        return FittedProber(apply=seeded.classes, words="image, by convolutions")

    def classes(self, images: Tensor, labels: Tensor, people: Tensor) -> Tensor:
        """Predict each protected image's class, (N, 3, 112, 112), uint8 or in [0, 1]; the rest as `Probe.classes`."""
        n = len(images)
        if images.ndim != 4 or labels.shape != (n,) or people.shape != (n,):
            raise ValueError(
                f"images, labels, people: expected (N, 3, H, W), (N,), (N,), "
                f"got {tuple(images.shape)}, {tuple(labels.shape)}, {tuple(people.shape)}"
            )
        kinds = int(labels.max()) + 1
        fold = people_folds(people, self.folds, seed=self.fitting.seed)
        said = torch.empty(n, dtype=torch.int64)
        for out in range(self.folds):
            network = weights_drawn_from(self.fitting.seed, lambda: _network(self.width, kinds))
            fit(
                network,
                HeldPairs(images[fold != out], F.one_hot(labels[fold != out].long(), kinds).float()),
                settings=self.fitting,
                loss=lambda seen, told: -(F.log_softmax(seen, 1) * told).sum(1),
                score=lambda seen, told: (seen.argmax(1) == told.argmax(1)).float(),
            )
            said[fold == out] = _said(network, images[fold == out])
        return said


def _network(width: int, kinds: int) -> nn.Module:
    layers: list[nn.Module] = [nn.AdaptiveAvgPool2d(SIDE)]
    channels = 3
    for step in range(4):
        wide = width * 2 ** min(step, 2)
        layers += [nn.Conv2d(channels, wide, 3, stride=2, padding=1, bias=False), nn.GroupNorm(1, wide), nn.ReLU()]
        channels = wide
    # faces are aligned, so that a place says something
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * (SIDE // 16 + 1) ** 2, kinds))


def _said(network: nn.Module, images: Tensor) -> Tensor:
    device = next(network.parameters()).device
    with torch.no_grad():
        rows = [
            network((to_unit(part) if part.dtype == torch.uint8 else part).to(device)).argmax(1).cpu()
            for part in torch.split(images, BATCH)
        ]
    return torch.cat(rows)

"""Parametrisation of a white-box reconstruction: an image as the sum of coarse and fine layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch.nn import functional as F

from facemin.attack.geometry import SIDE

if TYPE_CHECKING:
    from torch import Tensor

GREY = 0.5


class Parametrisation(Protocol):
    """Images that weights make."""

    weights: list[Tensor]
    """To be optimised."""

    def images(self) -> Tensor:
        """(B, 3, 112, 112) in [0, 1], differentiable."""

    def settle(self) -> None:
        """After a step: bring the weights back to where the images lie in [0, 1]."""


class Pyramid:
    """Images as grey plus layers of several sizes, enlarged and added.

    One step on a coarse layer moves whole regions at once, so that a gradient that is only local paints large
    surfaces too; with the finest layer alone this is a plain image.

    Args:
        scales: sides of the layers, in pixels; the last is 112.
        rows: images.
        noise: standard deviation of the noise that the finest layer begins with.
        seed: of it; the same noise for each row, so that no row depends on its place.
        device: where.
    """

    def __init__(
        self, scales: tuple[int, ...], *, rows: int, noise: float, seed: tuple[int, ...], device: torch.device
    ) -> None:
        drawn = np.random.default_rng(seed).standard_normal((3, SIDE, SIDE), dtype=np.float32)
        self.weights = [torch.zeros(rows, 3, side, side, device=device) for side in scales]
        self.weights[-1] += noise * torch.from_numpy(drawn).to(device)
        for weight in self.weights:
            weight.requires_grad_()

    def images(self) -> Tensor:
        """See `Parametrisation`; past the ends of the range the slope is kept, so that no pixel is stuck there."""
        total = self._sum()
        return total + (total.clamp(0, 1) - total).detach()

    @torch.no_grad()
    def settle(self) -> None:
        """See `Parametrisation`."""
        total = self._sum()
        self.weights[-1] += total.clamp(0, 1) - total

    def _sum(self) -> Tensor:
        total = self.weights[-1] + GREY
        for weight in self.weights[:-1]:
            total = total + F.interpolate(weight, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        return total

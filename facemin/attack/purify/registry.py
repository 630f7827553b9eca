"""Purifiers: what an adversary does to a protected image before using it (row T2 of the threat model).

Some of them are what an honest provider does too: then the authorised recogniser has to withstand them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from facemin.attack.purify.bilateral import Bilateral
from facemin.attack.purify.median import Median
from facemin.attack.purify.nonlocal_means import NonLocalMeans
from facemin.attack.purify.total_variation import TotalVariation
from facemin.evaluation.provider_operations import GaussianNoise, Jpeg, Resize, Shift
from facemin.runtime.ranges import ranges

Purifier = Callable[[Tensor], Tensor]
"""Images (B, 3, H, W) in [0, 1] to images of the same shape and range, each row on its own."""


@dataclass(frozen=True, kw_only=True)
@ranges({"(0, inf)": "sigma"})
class GaussianBlur:
    """Gaussian blur, separable, the border repeated; the kernel ends at four deviations, as in scipy.

    Args:
        sigma: standard deviation, pixels.
    """

    sigma: float

    def __call__(self, images: Tensor) -> Tensor:
        """Blur images (B, C, H, W) of any range; differentiable."""
        radius = math.floor(4 * self.sigma + 0.5)
        offsets = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
        kernel = torch.exp(-0.5 * (offsets / self.sigma) ** 2)
        kernel = kernel / kernel.sum()
        channels = images.shape[1]
        rows = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
        columns = kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
        padded = F.pad(images, (radius, radius, radius, radius), mode="replicate")
        return F.conv2d(F.conv2d(padded, rows, groups=channels), columns, groups=channels)


def unchanged(images: Tensor) -> Tensor:
    """The image as it came: row T1."""
    return images


PROVIDER_OPERATIONS: dict[str, Purifier] = {
    "none": unchanged,
    "blur-1": GaussianBlur(sigma=1.0),
    "blur-2": GaussianBlur(sigma=2.0),
    "jpeg-90": Jpeg(quality=90),
    "jpeg-75": Jpeg(quality=75),
    "resize-0.75": Resize(factor=0.75),
    "noise-0.1": GaussianNoise(deviation=0.1),
    "shift-2": Shift(pixels=2),
}
"""What an honest provider does to an upload too, by name."""

PURIFIERS: dict[str, Purifier] = {
    **PROVIDER_OPERATIONS,
    "resize-0.5": Resize(factor=0.5),
    "median-3": Median(side=3),
    "median-5": Median(side=5),
    "bilateral": Bilateral(sigma=2.0, colour=0.3),
    "nonlocal-means": NonLocalMeans(strength=0.3),
    "tv-0.1": TotalVariation(weight=0.1),
    "tv-0.5": TotalVariation(weight=0.5),
}
"""Purifiers by name; the worst over all of them counts."""

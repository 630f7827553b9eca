"""Bilateral filter: a blur that spares edges."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from facemin.runtime.ranges import ranges


@dataclass(frozen=True, kw_only=True)
@ranges({"(0, inf)": "sigma colour", "integer [1, inf)": "reach"})
class Bilateral:
    """Mean over neighbours, weighted by how near they lie and how alike their colour is; the border repeated.

    Source: Tomasi and Manduchi, Bilateral filtering for gray and color images, 1998; the colour distance is the
    Euclidean one over all channels.

    Args:
        sigma: standard deviation of the weight over distance, pixels.
        colour: standard deviation of the weight over colour distance, in units of [0, 1].
        reach: of the window to each side, pixels.
    """

    sigma: float
    colour: float
    reach: int = 3

    def __call__(self, images: Tensor) -> Tensor:
        """Filter images (B, C, H, W) in [0, 1]; differentiable."""
        height, width = images.shape[2:]
        reach = self.reach
        padded = F.pad(images, (reach, reach, reach, reach), mode="replicate")
        total, weights = torch.zeros_like(images), torch.zeros_like(images[:, :1])
        for down in range(2 * reach + 1):
            for right in range(2 * reach + 1):
                there = padded[..., down : down + height, right : right + width]
                far = (down - reach) ** 2 + (right - reach) ** 2
                other = (there - images).square().sum(1, keepdim=True)
                weight = torch.exp(-far / (2 * self.sigma**2) - other / (2 * self.colour**2))
                total, weights = total + weight * there, weights + weight
        return total / weights

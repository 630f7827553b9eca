"""Non-local means: averages places whose surroundings look alike."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from facemin.runtime.ranges import check_ranges

CUTOFF = 5.0
"""Patches further apart than this, in units of the strength, count for nothing."""


@dataclass(frozen=True, kw_only=True)
class NonLocalMeans:
    """Mean over all places near by, weighted by how alike the patches around them are.

    Patches are weighted by a Gaussian of a quarter of their side; beyond the border the image is mirrored, but only
    places within the image are averaged. Scaled and cut off as scikit-image does.

    Source: Buades, Coll and Morel, A non-local algorithm for image denoising, 2005, equation 2.

    Args:
        strength: h, in units of [0, 1]: larger ones average patches that differ more.
        patch: side of a patch, pixels; odd, at least 3.
        reach: how far away to look along each axis, pixels.
    """

    strength: float
    patch: int = 5
    reach: int = 5

    def __post_init__(self) -> None:
        check_ranges(self, {"(0, inf)": "strength", "integer [1, inf)": "reach"})
        if not (isinstance(self.patch, int) and self.patch >= 3 and self.patch % 2):
            raise ValueError(f"NonLocalMeans patch: expected an odd integer of at least 3, got {self.patch!r}")

    def __call__(self, images: Tensor) -> Tensor:
        """Denoise images (B, C, H, W) in [0, 1]; differentiable. H and W above half a patch's side."""
        height, width = images.shape[2:]
        half = self.patch // 2
        padded = F.pad(images, (half, half, half, half), mode="reflect")
        kernel = self._kernel(images)
        total, weights = torch.zeros_like(images), torch.zeros_like(images[:, :1])
        for down in range(-self.reach, self.reach + 1):
            for right in range(-self.reach, self.reach + 1):
                # places (y, x) that have a neighbour (y + down, x + right) within the image
                here = _within(height, down), _within(width, right)
                there = _within(height, -down), _within(width, -right)
                around_here, around_there = (
                    padded[..., y.start : y.stop + 2 * half, x.start : x.stop + 2 * half] for y, x in (here, there)
                )
                apart = F.conv2d((around_here - around_there).square().sum(1, keepdim=True), kernel)
                weight = torch.exp(-apart) * (apart <= CUTOFF)
                total[..., here[0], here[1]] += weight * images[..., there[0], there[1]]
                weights[..., here[0], here[1]] += weight
        return total / weights

    def _kernel(self, images: Tensor) -> Tensor:
        """Weight of each place of a patch in its squared distance, (1, 1, patch, patch)."""
        offsets = torch.arange(self.patch, dtype=images.dtype, device=images.device) - self.patch // 2
        line = torch.exp(-0.5 * (offsets / ((self.patch - 1) / 4)) ** 2)
        kernel = line[:, None] * line
        return (kernel / (kernel.sum() * images.shape[1] * self.strength**2))[None, None]


def _within(length: int, shift: int) -> slice:
    return slice(max(0, -shift), max(0, length - max(0, shift)))

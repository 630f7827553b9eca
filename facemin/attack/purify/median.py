"""Median filter: removes what stands out from its neighbours, and keeps edges."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

ROWS = 16
"""Images filtered at once: each takes as many values as its window has places."""


@dataclass(frozen=True, kw_only=True)
class Median:
    """Median over a square window, each channel on its own, the border repeated.

    Args:
        side: of the window, pixels; odd, at least 3.
    """

    side: int

    def __post_init__(self) -> None:
        if not (isinstance(self.side, int) and self.side >= 3 and self.side % 2):
            raise ValueError(f"Median side: expected an odd integer of at least 3, got {self.side!r}")

    def __call__(self, images: Tensor) -> Tensor:
        """Filter images (B, C, H, W) of any range; differentiable."""
        return torch.cat([self._filtered(part) for part in torch.split(images, ROWS)])

    def _filtered(self, images: Tensor) -> Tensor:
        reach = self.side // 2
        padded = F.pad(images, (reach, reach, reach, reach), mode="replicate")
        windows = padded.unfold(2, self.side, 1).unfold(3, self.side, 1)
        return windows.flatten(4).median(4).values

"""Trained denoiser as a purifier (row T2): RecFace's network from image to image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from facemin.attack.features import BATCH

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.attack.reconstruct.inverter import Inverter


@dataclass(frozen=True, kw_only=True, eq=False)
class Denoiser:
    """Images (B, 3, 112, 112) in [0, 1] to what they may have been before they were protected, a `Purifier`.

    Attributes:
        network: from protected images to faces.
    """

    network: Inverter

    def __call__(self, images: Tensor) -> Tensor:
        """Purify images; each row on its own."""
        if not len(images):
            return images
        device = self.network.mean.device
        with torch.no_grad():
            parts = [self.network(part.to(device)) for part in images.split(BATCH)]  # type: ignore[no-untyped-call]
        return torch.cat(parts).to(images)

"""Trained denoiser as a purifier (row T2): RecFace's network from image to image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from facemin.attack.features import BATCH
from facemin.attack.reconstruct.train_inverter import train_inverter
from facemin.runtime.compute import DEFAULT_COMPUTE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from facemin.attack.reconstruct.inverter import Inverter
    from facemin.attack.reconstruct.train_inverter import InverterTraining
    from facemin.attack.training import Epoch, Pairs
    from facemin.runtime.compute import Compute


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


def train_denoiser(
    pairs: Pairs,
    *,
    settings: InverterTraining | None = None,
    compute: Compute = DEFAULT_COMPUTE,
    validation: Pairs | None = None,
    checkpoint: Path | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Denoiser:
    """Train a denoiser on pairs of (protected image, face); arguments and errors as for `train_inverter`."""
    network = train_inverter(
        pairs,
        settings=settings,
        compute=compute,
        validation=validation,
        checkpoint=checkpoint,
        on_epoch=on_epoch,
        stop=stop,
    )
    return Denoiser(network=network)

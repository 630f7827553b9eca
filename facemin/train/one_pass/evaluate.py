"""Cosine between targets and where painted images lie, after each operation of a provider."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from facemin.protection.pmt import separable as linear_maps
from facemin.protection.pmt.jpeg import jpeg
from facemin.train.one_pass.loop import sphere, visible_difference

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from facemin.train.one_pass.decoder import Decoder
    from facemin.train.one_pass.target_network import TargetNetwork


def _both(matrix: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda images: linear_maps.apply(images, *(matrix.expand(len(images), -1, -1),) * 2)


def _noisy(images: Tensor) -> Tensor:
    drawn = np.random.default_rng(0).standard_normal(tuple(images.shape), dtype=np.float32)
    return (images + 0.1 * torch.from_numpy(drawn).to(images.device)).clamp(0, 1)


def _coded(quality: int) -> Callable[[Tensor], Tensor]:
    return lambda images: jpeg(images, torch.full((len(images),), quality, device=images.device))


OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda images: images,
    "jpeg-75": _coded(75),
    "jpeg-90": _coded(90),
    "blur-1": _both(linear_maps.blur_matrix(1.0)),
    "blur-2": _both(linear_maps.blur_matrix(2.0)),
    "shift-2": _both(linear_maps.shift_matrix(2)),
    "resize-0.75": _both(linear_maps.resize_matrix(84)),
    "noise-0.1": _noisy,
}
"""What is reported, by name."""


@torch.no_grad()
def cosines(
    decoder: Decoder, network: TargetNetwork, *, seed: int, count: int = 256, batch: int = 32
) -> dict[str, float]:
    """Mean cosine after each of `OPERATIONS`, and how far two images of one target lie apart.

    Args:
        decoder: paints them.
        network: the key's, on the same device.
        seed: of targets and noise.
        count: targets.
        batch: images at once.

    Returns:
        By the operation's name; `difference` is `visible_difference` of two images of one target.
    """
    device = next(decoder.parameters()).device
    rng = np.random.default_rng(seed)
    found: dict[str, list[Tensor]] = {}
    for first in range(0, count, batch):
        size = min(batch, count - first)
        targets = sphere(size, network.dimensions, rng).to(device)
        painted = []
        for _ in range(2):
            noise = torch.from_numpy(rng.standard_normal((size, decoder.noise), dtype=np.float32)).to(device)
            painted.append(decoder(targets, noise).mul(255).round().div(255))
        for name, operation in OPERATIONS.items():
            found.setdefault(name, []).append((network(operation(painted[0])) * targets).sum(1))
        halves = (F.avg_pool2d(images, 2) for images in painted)
        found.setdefault("difference", []).append(visible_difference(*halves))
    return {name: round(float(torch.cat(values).mean()), 5) for name, values in found.items()}

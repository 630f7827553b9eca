"""Random transform T of the canvas: what strangers' services do to a photo before they recognise it.

Alignment by other landmarks (rotation, scale, shift, a little shear for perspective), resampling and resizing (the
photo's and the crop's), JPEG, noise, and colour shifts. Each image's and step's randomness comes from its own seed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from facemin.protection.carrier.canvas import SIDE, to_canvas
from facemin.protection.pmt.jpeg import jpeg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from facemin.protection.carrier.settings import Pipelines

WIDEST = 4
"""Cells that a blur reaches to each side."""


def decoded(pipelines: Pipelines, canvas: Tensor, draws: list[np.random.Generator]) -> Tensor:
    """The photo as a service decodes it: canvases (B, 3, SIDE, SIDE) in [0, 1], one of the operations each."""
    kinds = [str(own.choice(("none", "blur", "blur", "jpeg", "noise"))) for own in draws]
    sigmas = [
        own.uniform(0.3, pipelines.blur) if kind == "blur" else 0.0 for own, kind in zip(draws, kinds, strict=True)
    ]
    changed = blurred(canvas, sigmas)
    gains = torch.tensor(np.stack([own.normal(1, pipelines.colour, 3) for own in draws])).to(canvas)
    offsets = torch.tensor(np.stack([own.normal(0, pipelines.colour / 3, 3) for own in draws])).to(canvas)
    changed = (changed * gains[..., None, None] + offsets[..., None, None]).clamp(0, 1)
    for row, (own, kind) in enumerate(zip(draws, kinds, strict=True)):
        if kind == "noise":
            noise = own.standard_normal((3, SIDE, SIDE), dtype=np.float32) * own.uniform(0, pipelines.noise)
            changed = changed.index_add(0, torch.tensor([row]), torch.from_numpy(noise)[None].to(canvas))
    coded = [row for row, kind in enumerate(kinds) if kind == "jpeg"]
    if coded:
        quality = torch.tensor([int(draws[row].integers(pipelines.jpeg, 96)) for row in coded])
        rows = torch.tensor(coded)
        changed = changed.index_copy(0, rows, jpeg(changed[rows], quality))
    return changed


def crops(
    pipelines: Pipelines,
    canvas: Tensor,
    crop: NDArray[np.float64],
    side: int,
    draws: list[np.random.Generator] | None,
) -> Tensor:
    """Crops of canvases by aligners that differ, (B, 3, side, side).

    Args:
        pipelines: how far they differ.
        canvas: (B, 3, SIDE, SIDE).
        crop: matrix (2, 3) from [-1, 1] between a crop's edges to frame pixels.
        side: of the crops, pixels.
        draws: of each image's randomness; None for the crop as it is meant.
    """
    matrices = [to_canvas(crop)] if draws is None else [to_canvas(_misaligned(pipelines, crop, own)) for own in draws]
    theta = torch.tensor(np.stack(matrices), dtype=torch.float32).expand(len(canvas), -1, -1)
    grid = F.affine_grid(theta, [len(canvas), 3, side, side], align_corners=False)
    return F.grid_sample(canvas, grid.to(canvas), mode="bilinear", padding_mode="border", align_corners=False)


def _misaligned(pipelines: Pipelines, crop: NDArray[np.float64], own: np.random.Generator) -> NDArray[np.float64]:
    turn = math.radians(float(own.normal(0, pipelines.rotation)))
    scale = math.exp(float(own.normal(0, pipelines.scale)))
    across, along, slant = own.normal(0, pipelines.shear, 3)
    cosine, sine = math.cos(turn) * scale, math.sin(turn) * scale
    turned = np.array([[cosine, -sine], [sine, cosine]]) @ np.array([[1 + across, slant], [slant, 1 + along]])
    moved = crop[:, 2] + own.normal(0, pipelines.shift, 2)
    return np.concatenate([turned @ crop[:, :2], moved[:, None]], 1)


def blurred(canvas: Tensor, sigmas: Sequence[float]) -> Tensor:
    """Canvases (B, 3, H, W) after Gaussian blurs of up to `WIDEST / 3` cells, one a row; border repeated."""
    taps = np.arange(-WIDEST, WIDEST + 1)
    weights = np.stack([np.exp(-0.5 * (taps / sigma) ** 2) if sigma > 0 else taps == 0 for sigma in sigmas])
    kernel = torch.from_numpy(weights / weights.sum(1, keepdims=True)).to(canvas).repeat_interleave(3, 0)
    rows, planes = len(canvas), 3 * len(canvas)
    flat = F.pad(canvas.reshape(1, planes, *canvas.shape[2:]), (WIDEST,) * 4, mode="replicate")
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=planes)
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=planes)
    return flat.reshape(rows, 3, *canvas.shape[2:])

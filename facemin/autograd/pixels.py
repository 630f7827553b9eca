"""8-bit images as tensors, and back: where arrays (H, W, 3) become the workshop's tensors (3, H, W)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_tensor(images: NDArray[Any]) -> Tensor:
    """Arrays (..., H, W, 3) of any type -> tensors (..., 3, H, W) of the same type; contiguous copies."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, -3)))


def to_array(images: Tensor) -> NDArray[np.uint8]:
    """Tensors (..., 3, H, W), uint8 or floats in [0, 1] -> uint8 arrays (..., H, W, 3), floats rounded by `to_grid`.

    Raises:
        ValueError: other types; NaN, or a value outside [0, 1].
    """
    grid = images.detach() if images.dtype == torch.uint8 else to_grid(images)
    array: NDArray[np.uint8] = grid.movedim(-3, -1).contiguous().cpu().numpy()
    return array


def to_unit(pixels: Tensor) -> Tensor:
    """uint8 of any shape -> float32 in [0, 1]; `to_grid` is its exact inverse.

    Raises:
        ValueError: another type than uint8.
    """
    if pixels.dtype != torch.uint8:
        raise ValueError(f"pixels: expected uint8, got {pixels.dtype}")
    return pixels.to(torch.float32) / 255


def to_grid(image: Tensor) -> Tensor:
    """Float in [0, 1] of any shape -> uint8, round(255 * x) with halves to even.

    Raises:
        ValueError: not a float type, NaN, or a value outside [0, 1].
    """
    if not image.is_floating_point():
        raise ValueError(f"image: expected uint8 or float in [0, 1], got {image.dtype}")
    if image.numel():
        low, high = (float(bound) for bound in image.detach().aminmax())
        if not (low >= 0 and high <= 1):
            raise ValueError(f"image: expected values in [0, 1] and no NaN, got {low:.6g} to {high:.6g}")
    # Half-precision types cannot hold 255 * x closely enough to round it.
    wide = image.detach().to(torch.promote_types(image.dtype, torch.float32))
    return (wide * 255).round_().to(torch.uint8)

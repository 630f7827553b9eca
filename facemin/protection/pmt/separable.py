"""Blur, resizing and shifting as matrices: y = A x A^T, the same cost for every operation and every strength.

Each acts on rows and columns of a face separately and repeats the border, as image software does. Matrices are kept;
one first asked for in inference mode has to serve gradients later, so none is made in that mode.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

SIDE = 112


@cache
@torch.inference_mode(mode=False)
def blur_matrix(sigma: float) -> Tensor:
    """Gaussian blur of `sigma` pixels, (112, 112) float32: Gaussian weights out to 4 sigma, of sum 1."""
    if sigma == 0:
        return torch.eye(SIDE)
    radius = int(4 * sigma + 0.5)
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    return _gathered(offsets, weights / weights.sum())


@cache
@torch.inference_mode(mode=False)
def shift_matrix(pixels: int) -> Tensor:
    """Shift by whole pixels towards higher indices, (112, 112) float32."""
    return _gathered(np.array([-pixels]), np.ones(1))


@cache
@torch.inference_mode(mode=False)
def resize_matrix(side: int) -> Tensor:
    """Resize to `side` pixels, at most 112, and back to 112, (112, 112) float32.

    Bilinear, with the triangle widened by the factor on the way down, as Pillow's `BILINEAR` does.
    """
    return _bilinear(side, SIDE) @ _bilinear(SIDE, side)


def apply(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Apply a matrix to the rows and one to the columns of each image.

    Args:
        images: (B, 3, 112, 112).
        rows: (B, 112, 112), acts along the height.
        columns: (B, 112, 112), acts along the width.

    Returns:
        (B, 3, 112, 112), differentiable in `images`.
    """
    turned: Tensor = rows.unsqueeze(1) @ images.contiguous() @ columns.mT.unsqueeze(1)
    return turned


def _gathered(offsets: np.ndarray, weights: np.ndarray) -> Tensor:
    matrix = np.zeros((SIDE, SIDE))
    for offset, weight in zip(offsets, weights, strict=True):
        np.add.at(matrix, (np.arange(SIDE), np.clip(np.arange(SIDE) + offset, 0, SIDE - 1)), weight)
    return torch.from_numpy(matrix).float()


def _bilinear(source: int, target: int) -> Tensor:
    factor = source / target
    width = max(factor, 1.0)
    centres = (np.arange(target) + 0.5) * factor
    matrix = 1 - np.abs(np.arange(source)[None] + 0.5 - centres[:, None]) / width
    matrix = np.clip(matrix, 0, None)
    return torch.from_numpy(matrix / matrix.sum(1, keepdims=True)).float()

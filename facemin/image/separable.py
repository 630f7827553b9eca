"""Blur, resizing and shifting as matrices: y = A x A^T, the same cost for every operation and every strength.

Each acts on rows and columns separately and repeats the border, as image software does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facemin.image.codec import Pixels

    Floats = NDArray[np.float32]


def blur_weights(side: int, sigma: float) -> Floats:
    """Gaussian blur of `sigma` pixels, (side, side): Gaussian weights out to 4 sigma, of sum 1."""
    if sigma == 0:
        return np.eye(side, dtype=np.float32)
    radius = int(4 * sigma + 0.5)
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    return gathered(side, offsets, weights / weights.sum())


def gathered(side: int, offsets: NDArray[np.int64], weights: NDArray[np.float64]) -> Floats:
    """Each pixel as a sum of those at some offsets from it, (side, side)."""
    matrix = np.zeros((side, side))
    for offset, weight in zip(offsets, weights, strict=True):
        np.add.at(matrix, (np.arange(side), np.clip(np.arange(side) + offset, 0, side - 1)), weight)
    return matrix.astype(np.float32)


def bilinear_weights(source: int, target: int) -> Floats:
    """Resizing, (target, source): bilinear, the triangle widened by the factor on the way down, as Pillow has it."""
    factor = source / target
    centres = (np.arange(target) + 0.5) * factor
    weights = np.clip(1 - np.abs(np.arange(source) + 0.5 - centres[:, None]) / max(factor, 1.0), 0, None)
    scaled: Floats = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return scaled


def applied(matrix: Floats, images: NDArray[Any]) -> Pixels:
    """A matrix (M, N) on the rows and the columns of images in [0, 255] (B, N, N, C), rounded: uint8 (B, M, M, C)."""
    planes = images.transpose(0, 3, 1, 2).astype(np.float32)
    changed = np.rint(matrix @ planes @ matrix.T).clip(0, 255)
    return np.ascontiguousarray(changed.astype(np.uint8).transpose(0, 2, 3, 1))

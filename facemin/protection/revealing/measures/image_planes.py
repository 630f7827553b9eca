"""Colour planes of an aligned image, their averages and turned forms, and the mean face."""

from __future__ import annotations

from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from facemin.image import Pixels

SIDE, HALF, QUARTER = 112, 56, 28
FLAT = 0.5
"""Standard deviation, grey levels, below which a plane shows nothing."""
Planes = NDArray[np.float32]
"""(N, H, W)."""


@cache
def mean_face() -> Pixels:
    """The mean of some thousand aligned faces, (112, 112, 3), without detail below 4 px."""
    with resources.files("facemin.protection").joinpath("mean_face.npy").open("rb") as file:
        small = np.load(file, allow_pickle=False)
    return np.asarray(small.repeat(4, 0).repeat(4, 1), np.uint8)


def planes_of(pixels: Pixels) -> Planes:
    """Red, green, blue, luminance, red less green, yellow less blue: (6, 112, 112)."""
    red, green, blue = np.moveaxis(pixels.astype(np.float32), -1, 0)
    luminance = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.stack([red, green, blue, luminance, red - green, (red + green) / 2 - blue])


def halved(planes: Planes) -> Planes:
    """Averages of 2 x 2, (..., H / 2, W / 2)."""
    # four slices: a mean over two short axes takes five times as long
    rows = planes[..., ::2, :] + planes[..., 1::2, :]
    return np.asarray((rows[..., ::2] + rows[..., 1::2]) * np.float32(0.25))


def doubled(planes: Planes) -> Planes:
    """Each pixel four times, (..., 2 H, 2 W)."""
    return planes.repeat(2, -2).repeat(2, -1)


def turned(planes: Planes) -> Planes:
    """The eight turned and mirrored forms of planes (..., H, H), stacked in front."""
    both = np.stack([planes, planes.swapaxes(-1, -2)])
    return np.concatenate([both, both[..., ::-1], both[..., ::-1, :], both[..., ::-1, ::-1]])


def unit(planes: Planes) -> Planes:
    """Rows (..., H W) without their mean, of length 1; 0 for flat ones."""
    rows = planes.reshape(*planes.shape[:-2], -1)
    rows = rows - rows.mean(-1, keepdims=True)
    length = np.sqrt(np.einsum("...i,...i", rows, rows))[..., None]
    return np.asarray(rows * np.where(length > FLAT * np.sqrt(rows.shape[-1]), 1 / np.maximum(length, 1e-6), 0))


def resized(planes: Planes, side: int) -> Planes:
    """Square planes (..., H, H) at another side, each pixel the mean of the area it covers."""
    weights = _area_weights(planes.shape[-1], side)
    return np.asarray(weights @ planes @ weights.T, np.float32)


@cache
def _area_weights(source: int, side: int) -> Planes:
    edges = np.linspace(0, source, side + 1)
    lower = np.arange(source)
    overlap = np.minimum(edges[1:, None], lower + 1) - np.maximum(edges[:-1, None], lower)
    return np.asarray(np.maximum(overlap, 0) * side / source, np.float32)

"""Sampling of a photo at arbitrary places: bilinear, anti-aliased, by rows."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from facemin.image import Pixels

Border = Literal["zero", "replicate"]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


def check_photo(pixels: Pixels) -> None:
    """Refuse, with a ValueError, whatever is not a uint8 RGB photo (H,W,3) of at least one pixel."""
    if not isinstance(pixels, np.ndarray):
        raise ValueError(f"pixels: expected a uint8 RGB photo (H, W, 3), got {type(pixels).__name__}")  # noqa: TRY004
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ValueError(f"pixels: expected a uint8 RGB photo (H, W, 3), got {pixels.dtype} {pixels.shape}")


def lattice(height: int, width: int) -> Doubles:
    """The x and y of every pixel centre, (H,W,2) float64."""
    y, x = np.mgrid[:height, :width]
    return np.stack((x, y), -1).astype(np.float64)


def transform(matrix: Doubles, places: Doubles) -> Doubles:
    """Places (..., 2) under an affine matrix (2,3), float64."""
    return places @ matrix[:, :2].T + matrix[:, 2]


def bounds(places: Doubles, margin: int, height: int, width: int) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of the pixels around `places` (h,w,2): within the image, and never empty.

    The places are a lattice's under an affine transform, so that its corners reach furthest.
    """
    corners = places[[0, 0, -1, -1], [0, -1, 0, -1]]
    low = np.floor(corners.min(0)) - margin
    high = np.ceil(corners.max(0)) + margin + 1
    left, right = int(low[0].clip(0, width - 1)), int(high[0].clip(0, width))
    top, bottom = int(low[1].clip(0, height - 1)), int(high[1].clip(0, height))
    return top, max(bottom, top + 1), left, max(right, left + 1)


def sample(image: NDArray[Any], matrix: Doubles, places: Doubles, *, border: Border) -> Floats:
    """An image's values at the places that a similarity transform sends a lattice to.

    Bilinear, pixel centres at integers (as `cv2.warpAffine`). Where the image is at least twice as fine as
    the lattice, whole-number blocks of its pixels are averaged first, so that the last step shrinks by less
    than two. Only the region under the places is read.

    Args:
        image: (H,W,3), any type.
        matrix: similarity transform from lattice to image, (2,3) float64.
        places: lattice positions, (h,w,2) float64.
        border: outside the image lies zero, or the nearest edge pixel.

    Returns:
        (h,w,3) float32 in the image's own range.
    """
    factor = max(1, math.floor(math.hypot(matrix[0, 0], matrix[1, 0])))
    corners = transform(matrix, places[[[0, 0], [-1, -1]], [[0, -1], [0, -1]]])
    top, bottom, left, right = bounds(corners, 2 * factor, *image.shape[:2])
    # Blocks lie on the image's own grid, so that parts sampled one by one fit together.
    top, left = top - top % factor, left - left % factor
    small = _reduce(image[top:bottom, left:right], factor, border)
    scale = matrix / factor
    scale[:, 2] -= (np.array([left, top]) + (factor - 1) / 2) / factor
    # Without a turn, columns and rows are blended one after the other.
    upright = matrix[0, 1] == 0 == matrix[1, 0]
    x_places, y_places = (places[:1], places[:, :1]) if upright else (places, places)
    x = scale[0, 0] * x_places[..., 0] + scale[0, 1] * x_places[..., 1] + scale[0, 2]
    y = scale[1, 0] * y_places[..., 0] + scale[1, 1] * y_places[..., 1] + scale[1, 2]
    if border == "zero":
        # One black pixel all around; further out it is black as well.
        small = np.pad(small, ((1, 1), (1, 1), (0, 0)))
        x, y = x + 1, y + 1
    return _separable(small, x[0], y[:, 0]) if upright else _bilinear(small, x, y)


def _split(places: Doubles, length: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """The pixels on both sides of each place, and how far it lies from the first to the second."""
    places = places.clip(0, length - 1)
    first = places.astype(np.intp)  # not negative: this is the floor
    return first, np.minimum(first + 1, length - 1), (places - first).astype(np.float32)


def _separable(image: NDArray[Any], x: Doubles, y: Doubles) -> Floats:
    """Values of an image (H,W,3) at the crossings of columns x (w,) and rows y (h,), in its own pixels."""
    upper, lower, down = _split(y, image.shape[0])
    left, right, along = _split(x, image.shape[1])
    # Only rows that are asked for, before anything becomes a float.
    rows = _blend(image.take(upper, 0), image.take(lower, 0), down[:, None, None])
    return _blend(rows.take(left, 1), rows.take(right, 1), along[None, :, None])


def _bilinear(image: NDArray[Any], x: Doubles, y: Doubles) -> Floats:
    """Values of an image (H,W,3) at places x, y (h,w), in its own pixels."""
    height, width = image.shape[:2]
    left, right, along = _split(x, width)
    upper, lower, down = _split(y, height)
    upper *= width
    lower *= width
    flat, along, down = np.ascontiguousarray(image).reshape(-1, 3), along[..., None], down[..., None]
    above = _blend(flat.take(upper + left, 0), flat.take(upper + right, 0), along)
    below = _blend(flat.take(lower + left, 0), flat.take(lower + right, 0), along)
    return _blend(above, below, down)


def _blend(first: NDArray[Any], second: NDArray[Any], weight: Floats) -> Floats:
    first = first.astype(np.float32, copy=False)
    change = second.astype(np.float32, copy=False) - first
    change *= weight
    change += first
    return change  # type: ignore[no-any-return]


def _reduce(region: NDArray[Any], factor: int, border: Border) -> NDArray[Any]:
    """Means of `factor` x `factor` blocks, (ceil(H/factor),ceil(W/factor),3) float32; a region itself at 1."""
    if factor == 1:
        return region
    height, width = region.shape[:2]
    rows, columns = -(-height // factor), -(-width // factor)
    # Row by row into one accumulator, so that a face filling the photo never exists as floats in full.
    total = np.zeros((rows, columns * factor, 3), np.float32)
    for row in range(factor):
        lines = region[row::factor]
        total[: len(lines), :width] += lines
        if len(lines) < rows and border == "replicate":
            total[-1, :width] += region[-1]
    if border == "replicate":
        total[:, width:] = total[:, width - 1 : width]
    # Sums of 8-bit values are exact in whatever order; numpy's own of so few at a time take five times as long.
    apart = np.tile(np.eye(3, dtype=np.float32), (factor, 1))
    means: Floats = (total.reshape(-1, 3 * factor) @ apart).reshape(rows, columns, 3) / np.float32(factor**2)
    return means

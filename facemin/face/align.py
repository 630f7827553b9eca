"""Aligned faces: the similarity transform to the 112-px template, and its crop."""

from __future__ import annotations

import numpy as np

from facemin.face.sample import Border, Doubles, Floats, check_photo, lattice, sample, transform
from facemin.image import Pixels

SIDE = 112
TEMPLATE: Doubles = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""InsightFace's five points in the 112-px crop: left eye, right eye, nose, mouth left, mouth right; (5,2)."""

_LEAST_SPREAD = 1e-3  # pixels; below it, float32 landmarks say nothing about scale and angle


def similarity(points: Doubles | Floats) -> Doubles:
    """Least-squares similarity transforms (scale, rotation, shift; no reflection) from photo to template.

    Source: Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    1991; in the plane it is the linear regression of the complex template on the complex points.

    Args:
        points: landmarks in photo pixels, pixel centres at integers, in the order of `TEMPLATE`, (N,5,2).

    Returns:
        (N,2,3) float64 matrices: crop = matrix[:, :2] @ photo + matrix[:, 2].

    Raises:
        ValueError: a wrong shape, a landmark that is not finite, or points that fix no scale (all together).
    """
    source = np.asarray(points, np.float64)
    if source.ndim != 3 or source.shape[1:] != TEMPLATE.shape:
        raise ValueError(f"points: expected an array (N, 5, 2), got {source.shape}")
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = source.mean(1, keepdims=True)
        spread = source - centre
        power = np.square(spread).sum((1, 2))
        target = TEMPLATE - TEMPLATE.mean(0)
        real = (spread * target).sum((1, 2)) / power
        imaginary = (spread[..., 0] * target[:, 1] - spread[..., 1] * target[:, 0]).sum(1) / power
        good = (np.sqrt(power) > _LEAST_SPREAD) & (np.hypot(real, imaginary) * np.sqrt(power) > _LEAST_SPREAD)
    if not good.all():
        face = int((~good).nonzero()[0][0])
        raise ValueError(f"points[{face}]: expected five finite landmarks that lie apart, got {source[face].tolist()}")
    linear = np.stack((real, -imaginary, imaginary, real), 1).reshape(-1, 2, 2)
    shift = TEMPLATE.mean(0) - (linear @ centre.swapaxes(1, 2))[..., 0]
    return np.concatenate((linear, shift[..., None]), 2)


def inverse(matrices: Doubles) -> Doubles:
    """Inverse affine matrices: (N,2,3) from photo to crop become (N,2,3) from crop to photo, float64."""
    linear = np.linalg.inv(matrices[..., :2])
    return np.concatenate((linear, -linear @ matrices[..., 2:]), -1)


def align(pixels: Pixels, points: Doubles | Floats, *, border: Border = "zero") -> Pixels:
    """Cut the aligned 112-px face around each set of landmarks out of a photo.

    Sampling is `sample`'s: plain bilinear up to a shrinking of two, blocks averaged first beyond it. Each
    face depends on its own landmarks alone.

    Args:
        pixels: photo, uint8 RGB, (H,W,3).
        points: landmarks in photo pixels, (N,5,2); see `similarity`.
        border: what lies outside the photo: black ('zero'), as the usual recognisers saw it in training, or
            the nearest edge pixel ('replicate').

    Returns:
        (N,112,112,3) uint8 RGB.

    Raises:
        ValueError: a wrong photo, wrong points, or an unknown border.
    """
    return np.rint(255 * align_unrounded(pixels, points, border=border)).astype(np.uint8)


def align_unrounded(pixels: Pixels, points: Doubles | Floats, *, border: Border = "zero") -> Floats:
    """As `align`, before rounding: (N,112,112,3) float32 in [0,1], for measurements that were made on such crops."""
    check_photo(pixels)
    if border not in ("zero", "replicate"):
        raise ValueError(f"border: expected 'zero' or 'replicate', got {border!r}")
    grid = lattice(SIDE, SIDE)
    faces = np.empty((len(points), SIDE, SIDE, 3), np.float32)
    for face, back in zip(faces, inverse(similarity(points)), strict=True):
        face[:] = sample(pixels, back, grid, border=border)
    # Rounding in the blend may leave [0, 255] by one unit in the last place.
    return (faces / 255).clip(0, 1)


def inside(points: Doubles | Floats, height: int, width: int) -> Floats:
    """Share of each face's 112 x 112 crop that lies within a photo of that size.

    Args:
        points: landmarks in photo pixels, (N,5,2); see `similarity`.
        height: of the photo, pixels.
        width: of the photo, pixels.

    Returns:
        (N,) float32 in [0,1]; below 1 the face stands at the photo's edge.

    Raises:
        ValueError: wrong points.
    """
    grid = lattice(SIDE, SIDE)
    shares = [within(transform(matrix, grid), height, width).mean() for matrix in inverse(similarity(points))]
    return np.array(shares, np.float32)


def within(places: Doubles, height: int, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which places (..., 2) lie on a pixel of an image of that size."""
    x, y = places[..., 0], places[..., 1]
    return (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)

"""Aligned faces: the similarity transform to the 112-px template, its crop, and the way back into a photo."""

from __future__ import annotations

import torch
from torch import Tensor

from facemin.face.sample import Border, bounds, check_photo, lattice, sample, transform

SIDE = 112
TEMPLATE = torch.tensor(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    dtype=torch.float64,
)
"""InsightFace's five points in the 112-px crop: left eye, right eye, nose, mouth left, mouth right; (5,2)."""

_LEAST_SPREAD = 1e-3  # pixels; below it, float32 landmarks say nothing about scale and angle
_STRIP = 1 << 20  # photo pixels pasted at once; a face may fill a 50-megapixel photo


def similarity(points: Tensor) -> Tensor:
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
    if points.ndim != 3 or points.shape[1:] != TEMPLATE.shape:
        raise ValueError(f"points: expected a tensor (N, 5, 2), got {tuple(points.shape)}")
    source = points.detach().to("cpu", torch.float64)
    centre = source.mean(1, keepdim=True)
    spread = source - centre
    power = spread.square().sum((1, 2))
    target = TEMPLATE - TEMPLATE.mean(0)
    real = (spread * target).sum((1, 2)) / power
    imaginary = (spread[..., 0] * target[:, 1] - spread[..., 1] * target[:, 0]).sum(1) / power
    good = (power.sqrt() > _LEAST_SPREAD) & (torch.hypot(real, imaginary) * power.sqrt() > _LEAST_SPREAD)
    if not bool(good.all()):
        face = int((~good).nonzero()[0, 0])
        raise ValueError(f"points[{face}]: expected five finite landmarks that lie apart, got {source[face].tolist()}")
    linear = torch.stack((real, -imaginary, imaginary, real), 1).view(-1, 2, 2)
    shift = TEMPLATE.mean(0) - (linear @ centre.mT).squeeze(-1)
    return torch.cat((linear, shift.unsqueeze(-1)), 2)


def inverse(matrices: Tensor) -> Tensor:
    """Inverse affine matrices: (N,2,3) from photo to crop become (N,2,3) from crop to photo, float64."""
    linear = torch.linalg.inv(matrices[..., :2].double())
    return torch.cat((linear, -linear @ matrices[..., 2:].double()), -1)


def align(pixels: Tensor, points: Tensor, *, border: Border = "zero") -> Tensor:
    """Cut the aligned 112-px face around each set of landmarks out of a photo.

    Sampling is `sample`'s: plain bilinear up to a shrinking of two, blocks averaged first beyond it. Each
    face depends on its own landmarks alone.

    Args:
        pixels: photo, uint8 RGB, (3,H,W).
        points: landmarks in photo pixels, (N,5,2); see `similarity`.
        border: what lies outside the photo: black ('zero'), as the usual recognisers saw it in training, or
            the nearest edge pixel ('replicate').

    Returns:
        (N,3,112,112) float32 RGB in [0,1].

    Raises:
        ValueError: a wrong photo, wrong points, or an unknown border.
    """
    check_photo(pixels)
    if border not in ("zero", "replicate"):
        raise ValueError(f"border: expected 'zero' or 'replicate', got {border!r}")
    back = inverse(similarity(points))
    grid = lattice(SIDE, SIDE)
    faces = [sample(pixels, matrix, grid, border=border) for matrix in back]
    # Rounding in the blend may leave [0, 255] by one unit in the last place.
    return (torch.stack(faces) / 255).clamp(0, 1) if faces else torch.empty(0, 3, SIDE, SIDE)


def inside(points: Tensor, height: int, width: int) -> Tensor:
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
    shares = [_within(transform(matrix, grid), height, width).float().mean() for matrix in inverse(similarity(points))]
    return torch.stack(shares) if shares else torch.empty(0)


def paste(pixels: Tensor, faces: Tensor, points: Tensor) -> Tensor:
    """Put aligned faces back where `align` found them, by the inverse transform.

    A pixel changes only if its centre falls within the crop's square. Values are `sample`'s (bilinear, or
    area first where the face is under half the crop's size), the crop's edge replicated, rounded to 8 bits.
    Faces are pasted in their order: where two overlap, the later one (the smaller, as `Detector` sorts) is on
    top.

    Args:
        pixels: photo, uint8 RGB, (3,H,W); left untouched.
        faces: aligned faces in [0,1], (N,3,112,112).
        points: the landmarks they were aligned with, (N,5,2).

    Returns:
        A new photo, uint8 RGB, (3,H,W).

    Raises:
        ValueError: a wrong photo, wrong points, or another number or shape of faces than the points ask for.
    """
    check_photo(pixels)
    matrices = similarity(points)
    if faces.shape != (len(matrices), 3, SIDE, SIDE):
        raise ValueError(f"faces: expected shape {(len(matrices), 3, SIDE, SIDE)}, got {tuple(faces.shape)}")
    photo = pixels.clone()
    corners = lattice(2, 2) * SIDE - 0.5
    for face, matrix, back in zip(faces.detach().cpu().float(), matrices, inverse(matrices), strict=True):
        top, bottom, left, right = bounds(transform(back, corners), 1, *photo.shape[1:])
        rows = max(1, _STRIP // (right - left))
        for start in range(top, bottom, rows):
            part = photo[:, start : min(start + rows, bottom), left:right]
            places = lattice(*part.shape[1:]) + torch.tensor([left, start], dtype=torch.float64)
            new = sample(face * 255, matrix, places, border="replicate").round().clamp(0, 255).byte()
            part.copy_(torch.where(_within(transform(matrix, places), SIDE, SIDE), new, part))
    return photo


def _within(places: Tensor, height: int, width: int) -> Tensor:
    x, y = places.unbind(-1)
    return (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)

"""Aligned faces put back into the photo that they were cut from."""

from __future__ import annotations

import numpy as np

from facemin.face.align import SIDE, inverse, similarity, within
from facemin.face.sample import Doubles, Floats, bounds, check_photo, lattice, sample, transform
from facemin.image import Pixels

_STRIP = 1 << 20  # photo pixels pasted at once; a face may fill a 50-megapixel photo


def paste(pixels: Pixels, faces: Pixels, points: Doubles | Floats) -> Pixels:
    """Put aligned faces back where `align` found them, by the inverse transform.

    A pixel changes only if its centre falls within the crop's square. Values are `sample`'s (bilinear, or
    area first where the face is under half the crop's size), the crop's edge replicated, rounded to 8 bits.
    Faces are pasted in their order: where two overlap, the later one (the smaller, as `Detector` sorts) is on
    top.

    Args:
        pixels: photo, uint8 RGB, (H,W,3); left untouched.
        faces: aligned faces, uint8 RGB, (N,112,112,3).
        points: the landmarks they were aligned with, (N,5,2).

    Returns:
        A new photo, uint8 RGB, (H,W,3).

    Raises:
        ValueError: a wrong photo, wrong points, or another type, number or shape of faces than the points ask for.
    """
    check_photo(pixels)
    matrices = similarity(points)
    if faces.dtype != np.uint8 or faces.shape != (len(matrices), SIDE, SIDE, 3):
        raise ValueError(
            f"faces: expected uint8 of shape {(len(matrices), SIDE, SIDE, 3)}, got {faces.dtype} {faces.shape}"
        )
    photo = pixels.copy()
    corners = lattice(2, 2) * SIDE - 0.5
    for face, matrix, back in zip(faces, matrices, inverse(matrices), strict=True):
        top, bottom, left, right = bounds(transform(back, corners), 1, *photo.shape[:2])
        rows = max(1, _STRIP // (right - left))
        for start in range(top, bottom, rows):
            part = photo[start : min(start + rows, bottom), left:right]
            places = lattice(*part.shape[:2]) + np.array([left, start])
            new = np.rint(sample(face, matrix, places, border="replicate")).clip(0, 255).astype(np.uint8)
            np.copyto(part, new, where=within(transform(matrix, places), SIDE, SIDE)[..., None])
    return photo

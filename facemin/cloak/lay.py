"""A change of an aligned face laid over the photo that the face stands in, at the photo's own resolution.

The photo keeps every detail: what is resampled is the change alone, never the face.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from facemin.face import SIDE, inverse, similarity
from facemin.face.align import within
from facemin.face.sample import bounds, check_photo, lattice, sample, transform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facemin.face.sample import Doubles, Floats
    from facemin.image import Pixels

_ZERO = 128
"""Stands for no change where a change is held as bytes."""
_FINE = 42
"""Largest change that bytes hold in steps of a third of a grey level, or finer."""
_STRIP = 1 << 18
"""Photo pixels at once where a change is sampled in floats."""


def lay(pixels: Pixels, changes: NDArray[Any], points: Doubles | Floats, *, remove: bool = False) -> Pixels:
    """Add changes of aligned faces to the faces of a photo, or take them away again.

    A pixel changes only if its centre falls within a face's crop. Changes are read between their pixels (bilinear; by
    area where the face is under half the crop's size), rounded to whole grey levels, added, and clipped to 0 and 255.
    With the same landmarks, removing them gives the photo back but where it was clipped.

    Args:
        pixels: photo, uint8 RGB, (H, W, 3); left untouched.
        changes: grey levels, (N, 112, 112, 3), any signed type.
        points: the faces' landmarks, (N, 5, 2), as `facemin.face.align` takes them.
        remove: subtract in place of adding.

    Returns:
        A new photo, uint8 RGB, (H, W, 3).

    Raises:
        ValueError: a wrong photo, wrong points, or another number or shape of changes than the points ask for.
    """
    check_photo(pixels)
    matrices = similarity(points)
    if changes.shape != (len(matrices), SIDE, SIDE, 3):
        raise ValueError(f"changes: expected {(len(matrices), SIDE, SIDE, 3)}, got {changes.shape}")
    photo, sign = pixels.copy(), -1 if remove else 1
    corners = lattice(2, 2) * SIDE - 0.5
    for change, matrix, back in zip(changes, matrices, inverse(matrices), strict=True):
        top, bottom, left, right = bounds(transform(back, corners), 1, *photo.shape[:2])
        rows = max(1, _STRIP // (right - left))
        small = np.issubdtype(change.dtype, np.integer) and int(np.abs(change.astype(np.int32)).max()) <= _FINE
        # Pillow's own bilinear reading takes a tenth of the time; it holds bytes, and does not average over areas
        read = _by_pillow if small and math.hypot(matrix[0, 0], matrix[1, 0]) < 2 else _by_sample
        for start in range(top, bottom, rows):
            part = photo[start : min(start + rows, bottom), left:right]
            part[:] = (part + sign * read(change, matrix, (left, start), part.shape)).clip(0, 255)
    return photo


def _by_pillow(
    change: NDArray[Any], matrix: Doubles, corner: tuple[int, int], shape: tuple[int, ...]
) -> NDArray[np.int16]:
    """A small change at the pixels of a part of the photo, (h, w, 3)."""
    # Pillow cuts fractions off: in steps finer than a grey level, half a step puts that right
    fine = (_ZERO - 1) // max(int(np.abs(change.astype(np.int16)).max()), 1)
    shift = matrix[:, :2] @ (np.array(corner) - 0.5) + matrix[:, 2] + 0.5
    picture = Image.fromarray((change.astype(np.int16) * fine + _ZERO).astype(np.uint8))
    read = picture.transform(
        (shape[1], shape[0]),
        Image.Transform.AFFINE,
        (*matrix[0, :2], shift[0], *matrix[1, :2], shift[1]),
        Image.Resampling.BILINEAR,
        fillcolor=(_ZERO, _ZERO, _ZERO),
    )
    return np.rint((np.asarray(read, np.float32) + (0.5 - _ZERO)) / fine).astype(np.int16)


def _by_sample(
    change: NDArray[Any], matrix: Doubles, corner: tuple[int, int], shape: tuple[int, ...]
) -> NDArray[np.int16]:
    """Any change, at the pixels of a part of the photo, (h, w, 3)."""
    places = lattice(*shape[:2]) + np.array(corner)
    read = np.rint(sample(change.astype(np.float32), matrix, places, border="replicate")).astype(np.int16)
    read[~within(transform(matrix, places), SIDE, SIDE)] = 0
    return read

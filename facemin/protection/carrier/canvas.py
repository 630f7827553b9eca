"""The canvas that a carrier is optimised on: the part of the frame that recognisers look at, at half its resolution.

Places are in frame pixels (512), pixel centres at integers. What is optimised is a change of the base on a coarser
grid, so that it survives resizing and costs little; it fades out towards the border of its window.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from facemin.protection.carrier.components import FRAME, from_template
from facemin.protection.pmt.jpeg import BLOCK

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

STEP = 2
"""Frame pixels a cell."""
SIDE = 192
"""Cells of the canvas, a multiple of `2 * BLOCK`, which JPEG's colours need."""
ORIGIN = (64, 56)
"""Frame pixel (x, y) of its upper left corner."""
GRAIN = 80
"""Cells a side on which a change is found: finer ones cost detection and survive nothing."""
WINDOW, CORNER = 320, (96, 112)
"""Side, in frame pixels, of the square that may change, and its upper left corner (x, y)."""
INSIDE = ((CORNER[0] - ORIGIN[0]) // STEP, (CORNER[1] - ORIGIN[1]) // STEP)
"""Cell of the canvas (x, y) at which the window begins."""
_FADE = 40.0  # frame pixels over which the change fades out

if SIDE % (2 * BLOCK):
    raise AssertionError(f"canvas: expected a multiple of {2 * BLOCK} cells, got {SIDE}")


def of_frame(frame: NDArray[np.float32]) -> Tensor:
    """The canvas (3, SIDE, SIDE) of a frame (512, 512, 3)."""
    x, y = ORIGIN
    part = frame[y : y + STEP * SIDE, x : x + STEP * SIDE]
    means = part.reshape(SIDE, STEP, SIDE, STEP, 3).mean((1, 3), dtype=np.float32)
    return torch.from_numpy(np.ascontiguousarray(means.transpose(2, 0, 1)))


def placed(change: Tensor) -> Tensor:
    """A change (B, 3, GRAIN, GRAIN), enlarged and faded out, on an empty canvas (B, 3, SIDE, SIDE)."""
    rows, columns = (torch.from_numpy(enlarging(axis, STEP)) for axis in (1, 0))
    shown: Tensor = rows @ change @ columns.T
    return shown


def in_frame(change: Tensor) -> NDArray[np.float32]:
    """A change (3, GRAIN, GRAIN), enlarged and faded out, in the frame, (512, 512, 3)."""
    rows, columns = (enlarging(axis, 1) for axis in (1, 0))
    return np.ascontiguousarray((rows @ change.numpy() @ columns.T).transpose(1, 2, 0))


@cache
def enlarging(axis: int, step: int) -> NDArray[np.float32]:
    """Bilinear weights along x (0) or y (1) from a change to cells of the canvas or, for step 1, pixels of the frame.

    The change fades out towards the window's border, and is 0 outside of it.
    """
    first, count = (ORIGIN[axis], SIDE) if step > 1 else (0, FRAME)
    place = first + (np.arange(count) + 0.5) * step - CORNER[axis]
    at = (place * GRAIN / WINDOW - 0.5).clip(0, GRAIN - 1)
    weights = np.clip(1 - np.abs(at[:, None] - np.arange(GRAIN)), 0, None)
    share = (np.minimum(place, WINDOW - place) / _FADE).clip(0, 1)
    return np.asarray(weights * (share * share * (3 - 2 * share))[:, None], np.float32)


def to_canvas(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """An affine matrix (2, 3) from a crop to frame pixels, as one to the coordinates of `F.grid_sample` on the canvas.

    The crop's pixels are given as `F.affine_grid` has them, from -1 to 1 between its outer edges.
    """
    scale = 2 / (STEP * SIDE)
    shift = (np.array(ORIGIN) - 0.5) * scale + 1
    found = matrix * scale
    found[:, 2] -= shift
    return found


def crop_of(centre: tuple[float, float], width: float) -> NDArray[np.float64]:
    """The matrix of an upright square crop: from [-1, 1] between its outer edges to frame pixels."""
    return np.array([[width / 2, 0, centre[0]], [0, width / 2, centre[1]]], np.float64)


def aligned_crop(side: int = 112) -> NDArray[np.float64]:
    """The matrix of the 112-px template's crop."""
    matrix = from_template(FRAME)
    middle = matrix[:, :2] @ np.array([(side - 1) / 2] * 2) + matrix[:, 2]
    return crop_of((float(middle[0]), float(middle[1])), float(matrix[0, 0]) * side)

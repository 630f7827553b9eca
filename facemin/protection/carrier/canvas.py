"""The canvas that a carrier is optimised on: the part of the frame that recognisers look at, at half its resolution.

Places are in frame pixels (512), pixel centres at integers. What is optimised is a change of the base at this
resolution, so that it survives resizing and costs little; it fades out towards the border of its window.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from facemin.protection.carrier.components import FRAME, from_template
from facemin.protection.pmt.jpeg import BLOCK

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

STEP = 2
"""Frame pixels a cell."""
SIDE = 208
"""Cells of the canvas, a multiple of `2 * BLOCK`, which JPEG's colours need."""
ORIGIN = (48, 56)
"""Frame pixel (x, y) of its upper left corner."""
WINDOW, INSET = 160, (24, 28)
"""Cells of the window that may change, and where (x, y) it begins in the canvas."""
_FADE = 20.0  # cells over which the change fades out

if SIDE % (2 * BLOCK):
    raise AssertionError(f"canvas: expected a multiple of {2 * BLOCK} cells, got {SIDE}")


def of_frame(frame: NDArray[np.float32]) -> Tensor:
    """The canvas (3, SIDE, SIDE) of a frame (512, 512, 3)."""
    x, y = ORIGIN
    part = frame[y : y + STEP * SIDE, x : x + STEP * SIDE]
    means = part.reshape(SIDE, STEP, SIDE, STEP, 3).mean((1, 3), dtype=np.float32)
    return torch.from_numpy(np.ascontiguousarray(means.transpose(2, 0, 1)))


def placed(change: Tensor) -> Tensor:
    """A change of the window (B, 3, WINDOW, WINDOW), faded out, on an empty canvas."""
    x, y = INSET
    left = SIDE - WINDOW
    return F.pad(change * fading().to(change), (x, left - x, y, left - y))


def in_frame(change: Tensor) -> NDArray[np.float32]:
    """A change of the window (3, WINDOW, WINDOW) in the frame, (512, 512, 3)."""
    faded = (change * fading().to(change))[None].float()
    large = F.interpolate(faded, scale_factor=STEP, mode="bilinear", align_corners=False)[0]
    x, y = (corner + STEP * inset for corner, inset in zip(ORIGIN, INSET, strict=True))
    whole = np.zeros((FRAME, FRAME, 3), np.float32)
    side = STEP * WINDOW
    whole[y : y + side, x : x + side] = large.permute(1, 2, 0).numpy()
    return whole


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


@cache
@torch.inference_mode(mode=False)
def fading() -> Tensor:
    """How much of a change is kept, (WINDOW, WINDOW): 1 in the middle, 0 at the border."""
    line = torch.arange(WINDOW, dtype=torch.float32) + 0.5
    edge = torch.minimum(line, WINDOW - line) / _FADE
    weight = edge.clamp(max=1)
    weight = weight * weight * (3 - 2 * weight)
    return weight[:, None] * weight[None]

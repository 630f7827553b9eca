"""Detectability of bases and carriers: eye contrast, and a surrogate of dlib's face detector.

Dlib's detector is a linear classifier of histograms of oriented gradients (Dalal and Triggs, Histograms of oriented
gradients for human detection, 2005) at every place and size. A base's face always lies in the same place, so that a
linear regression on the histograms there says how clearly that detector finds it. Its weights are fitted on bases of
random seeds by experiments/carrier/detection.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from facemin.protection.carrier.base import frame_in
from facemin.protection.carrier.components import FRAME, landmarks_in

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

DARK_EYES = 0.2
"""How much darker than the cheek below it an eye has to be, as a share: where it was less, dlib's detector found no
face (Viola and Jones' first feature, 2001)."""
OF_BASE, OF_CARRIER = 1.2, 1.0
"""Least detection scores of a base and of the finished carrier, so that dlib's detector finds a carrier, also turned by
ten degrees. Chosen on random seeds (experiments/carrier/detection_limit.py); clearer bases are more alike to networks.
"""
FILE = Path(__file__).with_name("detection.npz")
GREY = 128
"""Side of the brightness that gradients are taken of, pixels."""
CELL = 6
"""Its pixels a cell: dlib's window of ten cells is as wide as ten and a half of these at a base's face."""
BINS = 18
"""Orientations, of 360 degrees: from dark to light is not from light to dark."""
ROWS, COLUMNS = slice(5, 17), slice(4, 17)
"""Cells of the frame at and around the face."""
LARGEST = 0.2
"""At which normalised histograms are cut off."""
FAINT = 120.0
"""Sum of gradients of a block, in grey levels of GREY, below which it counts for little."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Regression:
    """A linear regression of dlib's detection score.

    Attributes:
        weights: of `histograms`, (12, 13, 18) float32.
        offset: score where all histograms are 0.
    """

    weights: Floats = field(repr=False)
    offset: float


@cache
def regression() -> Regression:
    """The regression that comes with facemin."""
    with np.load(FILE, allow_pickle=False) as held:
        return Regression(weights=held["weights"].astype(np.float32), offset=float(held["offset"]))


def is_clear(frame: Floats) -> bool:
    """Whether detectors are expected to find the face of a carrier on this base's frame (512, 512, 3) in [0, 1]."""
    return eye_contrast(frame) >= DARK_EYES and detection_score(frame) >= OF_BASE


def is_clear_carrier(photo: NDArray[np.uint8]) -> bool:
    """Whether dlib's detector is expected to find the face of a carrier (S, S, 3)."""
    frame = np.asarray(frame_in(photo, FRAME, Image.Resampling.BICUBIC), np.float32) / np.float32(255)
    return detection_score(frame) >= OF_CARRIER


def eye_contrast(frame: Floats) -> float:
    """How much darker than the cheek below it the lighter eye of a frame (512, 512, 3) is, as a share of the cheek."""
    light = frame.mean(2)
    eyes = landmarks_in(FRAME)[:2]
    gap = float(eyes[1, 0] - eyes[0, 0])

    def mean(x: float, y: float, half_width: float, half_height: float) -> float:
        across, down = half_width * gap, half_height * gap
        return float(light[int(y - down) : int(y + down), int(x - across) : int(x + across)].mean())

    return min(1 - mean(x, y, 0.22, 0.09) / max(mean(x, y + 0.5 * gap, 0.2, 0.12), 1e-3) for x, y in eyes)


def detection_score(frame: Floats) -> float:
    """How clearly dlib's detector is expected to find the face of a frame (512, 512, 3) in [0, 1]; it wants above 0.

    The mean over places and over angles of -10, 0 and 10 degrees of the detection score that dlib's `run` returns
    beside each box.
    """
    fitted = regression()
    return float((histograms(frame) * fitted.weights).sum()) + fitted.offset


def histograms(frame: Floats) -> Floats:
    """Histograms of oriented gradients at the face of a frame (512, 512, 3) in [0, 1].

    Returns:
        (12, 13, 18) float32 in [0, 0.2], normalised.
    """
    step = FRAME // GREY
    grey = 255 * frame.reshape(GREY, step, GREY, step, 3).mean((1, 3, 4), dtype=np.float32)
    down, right = np.zeros((2, GREY, GREY), np.float32)
    down[1:-1], right[:, 1:-1] = grey[2:] - grey[:-2], grey[:, 2:] - grey[:, :-2]
    size, place = np.hypot(down, right), np.arctan2(down, right) % (2 * np.pi) * (BINS / (2 * np.pi))
    # each gradient votes for the two orientations beside its own
    away = np.abs(place[..., None] - np.arange(BINS, dtype=np.float32))
    votes = size[..., None] * np.clip(1 - np.minimum(away, BINS - away), 0, None)
    count = GREY // CELL
    inside = votes[: count * CELL, : count * CELL].reshape(count, CELL, count, CELL, BINS)
    cells = inside.sum((1, 3))
    energy = np.pad(np.square(cells).sum(2), 1, mode="edge")
    block = energy[:-1, :-1] + energy[1:, :-1] + energy[:-1, 1:] + energy[1:, 1:]
    sizes = (np.sqrt(block[y : y + count, x : x + count])[..., None] + FAINT for y in (0, 1) for x in (0, 1))
    return np.asarray(sum(np.minimum(cells / each, LARGEST) for each in sizes)[ROWS, COLUMNS] / 4, np.float32)

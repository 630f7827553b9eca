"""Detection of carriers among photos of people, by the low frequencies of the published base space.

Two must hold. What is left of the picture at 32 x 32 lies in the space of the components, bent a little; and around
the head there is nothing finer than a base's blurred background. No defence against somebody who dresses a plain photo
up so: it protects people from apps that forget to protect. Measured by experiments/carrier/panel.py.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from facemin.protection.carrier.base import frame_in, head
from facemin.protection.carrier.components import FRAME, LUMA, components, to_planes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]

COARSE = 32
"""Side of the picture that is compared with the space."""
OUTSIDE = 0.26
"""Largest share of it that may lie outside of the space."""
FINE = 0.85
"""Largest root mean square, in grey levels, of what is finer than 8 pixels of 512 around the head."""


def is_carrier(pixels: NDArray[np.uint8]) -> bool:
    """Whether an image (H, W, 3) is a carrier: square, of its size, and of the base space."""
    height, width = pixels.shape[:2]
    return height == width and outside(pixels) <= OUTSIDE and fineness(pixels) <= FINE


def outside(pixels: NDArray[np.uint8]) -> float:
    """Share of a square image's low frequencies, less the mean face, that lies outside the space of bases; 0 to 1."""
    frame = frame_in(pixels, 2 * LUMA, Image.Resampling.BOX)
    basis, mean = _space()
    row = low_frequencies(to_planes(np.asarray(frame))[None])[0] - mean
    return float(np.linalg.norm(row - basis @ (basis.T @ row)) / max(float(np.linalg.norm(row)), 1e-6))


def fineness(pixels: NDArray[np.uint8]) -> float:
    """Root mean square, in grey levels, of a square image's fine detail around the head."""
    frame = frame_in(pixels, FRAME, Image.Resampling.BICUBIC)
    grey = np.asarray(frame, np.float32).mean(2)
    small = Image.fromarray(grey).resize((FRAME // 8, FRAME // 8), Image.Resampling.BOX)
    detail = grey - np.asarray(small.resize((FRAME, FRAME), Image.Resampling.BICUBIC))
    return float(np.sqrt(np.square(detail[head() == 0]).mean()))


@cache
def _space() -> tuple[Doubles, Doubles]:
    """An orthonormal basis (1024, 80) of the bases' low frequencies, and their mean (1024,)."""
    found = components()
    basis, _ = np.linalg.qr(low_frequencies(found.parts).T)
    return basis, low_frequencies(found.mean[None])[0]


def low_frequencies(planes: NDArray[np.float32]) -> Doubles:
    """Brightness of planes (N, V) at 32 x 32, (N, 1024)."""
    step = LUMA // COARSE
    luma = planes[:, : LUMA * LUMA].astype(np.float64).reshape(-1, COARSE, step, COARSE, step)
    return np.asarray(luma.mean((2, 4)).reshape(len(planes), -1))

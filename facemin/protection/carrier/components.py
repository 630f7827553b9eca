"""Eigenfaces with hair, neck and background: the mean and principal components that bases are drawn from.

Source: Turk and Pentland, Eigenfaces for recognition, 1991. Fitted on one photo of each of 2,547 people of LFW by
experiments/carrier/components.py: sums over all of them, of which none can be told (docs/carriers.md, the audit).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facemin.face.align import TEMPLATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]

FRAME = 512
"""Side of the frame that places are given in, pixels."""
LUMA, CHROMA = 128, 64
"""Sides at which brightness and colours are kept."""
COMPONENTS = 80
SCALE = 2.9
"""Frame pixels a pixel of the 112-px template: eyes are 102 px apart."""
CENTRE = (256.0, 276.0)
"""Where the middle of the template's landmarks lies in the frame."""
PHOTO, CORNER = 1000, (244, 268)
"""Side of a photo in frame pixels, and where (x, y) the frame's upper left corner lies in it: in a photo that shows the
frame alone, detectors for faces further away (mediapipe's full range) find none, and hardly any miss one in this."""
FILE = Path(__file__).with_name("components.npz")
VALUES = LUMA * LUMA + 2 * CHROMA * CHROMA

_TO_YCBCR = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)  # BT.601
_TO_RGB = np.array([[1.0, 0.0, 1.402], [1.0, -0.344136, -0.714136], [1.0, 1.772, 0.0]], np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Components:
    """Mean and components of faces in a frame.

    Attributes:
        mean: planes of the mean face, grey levels, (V,) float32; see `to_planes`.
        parts: (80, V) float32, each of the size of its standard deviation over people; the strongest first.
    """

    mean: Floats = field(repr=False)
    parts: Floats = field(repr=False)


@cache
def components() -> Components:
    """The components that come with facemin."""
    with np.load(FILE, allow_pickle=False) as held:
        parts = held["components"].astype(np.float32) * held["scales"][:, None]
        return Components(mean=held["mean"].astype(np.float32) / 16, parts=parts)


def from_template(side: int) -> Doubles:
    """Affine matrix (2, 3) from pixels of the 112-px template to those of a frame of `side` pixels.

    Pixel centres are at integers in both, so that frames of any side show the same.
    """
    scale = SCALE * side / FRAME
    middle = TEMPLATE.mean(0)
    # edges of the frame, not pixel centres, are what stays where it is
    centre = (np.array(CENTRE) + 0.5) * side / FRAME - 0.5
    return np.concatenate([np.eye(2) * scale, (centre - scale * middle)[:, None]], 1)


def landmarks_in(side: int) -> Doubles:
    """The template's five landmarks in a frame of `side` pixels, (5, 2)."""
    matrix = from_template(side)
    return TEMPLATE @ matrix[:, :2].T + matrix[:, 2]


def landmarks_in_photo(side: int) -> Doubles:
    """The template's five landmarks in a photo of `side` pixels, (5, 2)."""
    # edges, not pixel centres, are what stays where it is
    return np.asarray((landmarks_in(FRAME) + np.array(CORNER) + 0.5) * side / PHOTO - 0.5)


def to_planes(frame: NDArray[np.uint8]) -> Floats:
    """Brightness and colours of a frame, uint8 RGB (256, 256, 3), averaged to their sides: (V,) in grey levels."""
    planes = frame.astype(np.float32) @ _TO_YCBCR.T
    luma = planes[..., 0].reshape(LUMA, 2, LUMA, 2).mean((1, 3))
    chroma = planes[..., 1:].reshape(CHROMA, 4, CHROMA, 4, 2).mean((1, 3))
    return np.concatenate([luma.ravel(), chroma[..., 0].ravel(), chroma[..., 1].ravel()])


def to_rgb(planes: Floats, side: int) -> Floats:
    """An image of planes, (side, side, 3) in grey levels, unclipped; cubic interpolation."""
    cut = LUMA * LUMA
    luma = _enlarged(planes[:cut].reshape(LUMA, LUMA), side)
    blue, red = (_enlarged(plane.reshape(CHROMA, CHROMA), side) for plane in np.split(planes[cut:], 2))
    return np.stack([luma, blue, red], -1) @ _TO_RGB.T


def _enlarged(plane: Floats, side: int) -> Floats:
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC), np.float32)

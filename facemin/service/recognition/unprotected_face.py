"""Telling a plain face that somebody forgot to protect from a protected image.

Not a defence against somebody who wants to send a plain face and dresses it up: it protects users from apps' mistakes.
Measured by experiments/service/plain_face.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch.nn import functional as F

from facemin.autograd.pixels import to_array
from facemin.face import Detector

SMOOTH = 0.45
"""Neighbour correlation from which an image is natural. LFW's plain crops have 0.77 to 0.98, the default key's
protected images -0.01 to 0.20; see the record in results/service/plain_face.jsonl."""
SCORE = 0.5
"""The detector's own threshold."""
ZOOM, MARGIN = 2, 112
"""The detector was made for photos: an aligned crop fills its frame, so it is enlarged and put on grey."""


@dataclass(frozen=True, kw_only=True)
class PlainFaceCheck:
    """Whether an uploaded image of 112 x 112 shows a natural face.

    Two must agree: the image is smooth as photos are, and the detector finds a face in it. The first is cheap and
    spares protected images the second.

    Args:
        smooth: least `smoothness`.
        score: least score of the detector.
    """

    smooth: float = SMOOTH
    score: float = SCORE
    _detector: Detector = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_detector", Detector(threshold=self.score, min_face=56, threads=1))

    def __call__(self, pixels: torch.Tensor) -> bool:
        """Whether uint8 RGB (3, 112, 112) looks like an unprotected face."""
        if float(smoothness(pixels[None])[0]) < self.smooth:
            return False
        # a phone's photo may come without its orientation
        return any(self._detector(to_array(framed(pixels.rot90(turns, (1, 2))))) for turns in range(4))


def smoothness(pixels: torch.Tensor) -> torch.Tensor:
    """Correlation of brightness between neighbours in a half-size image, the lesser of the two directions.

    Halving averages away a sensor's noise, which would make a plain photo look protected.

    Args:
        pixels: uint8 RGB (B, 3, 112, 112).

    Returns:
        (B,) float32 in [-1, 1]; 0 for an image of one brightness.
    """
    grey = F.avg_pool2d(pixels.float().mean(1, keepdim=True), 2)[:, 0]
    grey = grey - grey.mean((1, 2), keepdim=True)
    power = grey.square().mean((1, 2)).clamp_min(1e-6)
    along = (grey[:, :, 1:] * grey[:, :, :-1]).mean((1, 2)) / power
    across = (grey[:, 1:] * grey[:, :-1]).mean((1, 2)) / power
    return torch.minimum(along, across)


def framed(pixels: torch.Tensor) -> torch.Tensor:
    """An image uint8 (3, 112, 112) enlarged and put on grey, as the detector likes its faces."""
    large = F.interpolate(pixels[None], scale_factor=ZOOM, mode="bilinear")[0]
    return F.pad(large, (MARGIN,) * 4, value=128)

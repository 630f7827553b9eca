"""Detection of unprotected faces among uploads.

Not a defence against somebody who wants to send a plain face and dresses it up: it protects users from apps' mistakes.
Measured by experiments/service/plain_face.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from facemin.face import SIDE, Detector
from facemin.image.separable import applied, bilinear_weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from facemin.image import Pixels


SMOOTH = 0.45
"""Neighbour correlation from which an image is natural. LFW's plain crops have 0.77 to 0.98, the default key's
protected images -0.01 to 0.20; see the record in results/service/plain_face.jsonl."""
SCALES = (2, 4)
"""Pixels a side that are averaged before that: a pattern of single pixels, or of squares of two, hides in neither."""
SCORE = 0.5
"""The detector's own threshold."""
PSEUDONYM_SCORE = 0.65
"""Least score of what was painted in one pass, which is as smooth as a photo. One of 248 such images reached 0.52;
plain crops of 30 people 0.83 or more, with noise of 25 grey levels 0.76 (docs/service/threat-model.md)."""
ZOOM, MARGIN = 2, 112
"""The detector was made for photos: an aligned crop fills its frame, so it is enlarged and put on grey."""


@dataclass(frozen=True, kw_only=True)
class PlainFaceCheck:
    """Whether an uploaded image of 112 x 112 shows a natural face.

    Two must agree: the image is smooth as photos are, and the detector finds a face in one of its views: turned,
    inverted, and without its finest detail, where noise, a pattern or a protected face may have been blended in. The
    first is cheap and spares protected images the second.

    Args:
        smooth: least `smoothness`.
        score: least score of the detector.
    """

    smooth: float = SMOOTH
    score: float = SCORE
    _detector: Detector = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_detector", Detector(threshold=self.score, min_face=56, threads=1))

    def __call__(self, pixels: Pixels, *, pseudonym: bool = False) -> bool:
        """Whether uint8 RGB (112, 112, 3) looks like an unprotected face; `pseudonym`: it was sent under one."""
        least = max(self.score, PSEUDONYM_SCORE) if pseudonym else self.score
        if max(float(smoothness(pixels[None], scale)[0]) for scale in SCALES) < self.smooth:
            return False
        found = (self._detector(framed(view)) for view in views(pixels))
        return any(face.score >= least for faces in found for face in faces)


def views(pixels: Pixels) -> Iterator[Pixels]:
    """An image uint8 (112, 112, 3) as it may have to be looked at to see the face in it, the likeliest first."""
    # a phone's photo may come without its orientation
    for turns in range(4):
        yield np.rot90(pixels, turns)
    for scale in SCALES:
        yield coarse(pixels, scale)
    yield 255 - pixels
    for scale in SCALES:
        yield 255 - coarse(pixels, scale)


def coarse(pixels: Pixels, scale: int) -> Pixels:
    """An image uint8 (112, 112, 3) averaged over squares of `scale` pixels and enlarged again."""
    small = np.moveaxis(_averaged(np.moveaxis(pixels, -1, 0).astype(np.float32), scale), 0, -1)
    return np.asarray(applied(bilinear_weights(SIDE // scale, SIDE), small[None])[0])


def smoothness(pixels: Pixels, scale: int = SCALES[0]) -> NDArray[np.float32]:
    """Correlation of brightness between neighbours in a smaller image, the lesser of the two directions.

    Averaging takes away a sensor's noise, which would make a plain photo look protected.

    Args:
        pixels: uint8 RGB (B, 112, 112, 3).
        scale: pixels a side that are averaged.

    Returns:
        (B,) float32 in [-1, 1]; 0 for an image of one brightness.
    """
    grey = _averaged(pixels.mean(-1, dtype=np.float32), scale)
    grey = grey - grey.mean((1, 2), keepdims=True)
    power = np.maximum(np.square(grey).mean((1, 2)), 1e-6)
    along = (grey[:, :, 1:] * grey[:, :, :-1]).mean((1, 2)) / power
    across = (grey[:, 1:] * grey[:, :-1]).mean((1, 2)) / power
    return np.asarray(np.minimum(along, across), np.float32)


def framed(pixels: Pixels) -> Pixels:
    """An image uint8 (112, 112, 3) enlarged and put on grey, as the detector likes its faces."""
    large = applied(bilinear_weights(SIDE, ZOOM * SIDE), pixels[None])[0]
    return np.pad(large, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), constant_values=128)


def _averaged(planes: NDArray[np.float32], scale: int) -> NDArray[np.float32]:
    """Means over squares of `scale` pixels: (N, 112, 112) to (N, 112 / scale, 112 / scale)."""
    side = SIDE // scale
    return np.asarray(planes.reshape(-1, side, scale, side, scale).mean((2, 4)), np.float32)

"""Makeup references, drawn: regions of an aligned face by its landmarks, and colours for them.

Aligned faces share their landmarks, so that a region of a reference corresponds to the same region of every face. None
of this comes from a data set: colours are drawn from ranges of cosmetics, and the regions from the crop's template.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facemin.face import SIDE, TEMPLATE

REGIONS = ("lips", "eyelids", "cheeks", "skin")

_LIPS = ((0.55, 0.12, 0.20), (0.75, 0.20, 0.25), (0.62, 0.25, 0.30), (0.80, 0.35, 0.35), (0.45, 0.08, 0.18))
_LIDS = ((0.45, 0.30, 0.25), (0.35, 0.25, 0.40), (0.30, 0.35, 0.50), (0.55, 0.40, 0.30), (0.25, 0.20, 0.22))
_CHEEKS = ((0.85, 0.45, 0.42), (0.80, 0.40, 0.38), (0.88, 0.55, 0.48))
_STRENGTHS = {"lips": (0.55, 0.85), "eyelids": (0.35, 0.65), "cheeks": (0.20, 0.45), "skin": (0.0, 0.08)}
_SPREAD = 0.05


@dataclass(frozen=True, kw_only=True, eq=False)
class MakeupReference:
    """A style: of each of `REGIONS` a colour and how much of it.

    Attributes:
        colours: (4, 3), RGB in [0, 1].
        strengths: (4,), in [0, 1].
    """

    colours: NDArray[np.float32]
    strengths: NDArray[np.float32]

    @classmethod
    def drawn(cls, seed: int) -> MakeupReference:
        """A style drawn with a seed, in [0, 2^128)."""
        dice = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
        bases = [palette[dice.integers(len(palette))] for palette in (_LIPS, _LIDS, _CHEEKS, ((0.85, 0.68, 0.58),))]
        colours = np.array(bases, np.float32) + dice.normal(0, _SPREAD, (4, 3)).astype(np.float32)
        strengths = np.array([dice.uniform(*_STRENGTHS[name]) for name in REGIONS], np.float32)
        return cls(colours=colours.clip(0, 1), strengths=strengths)


def regions() -> NDArray[np.float32]:
    """Where each of `REGIONS` lies on an aligned face, (4, 112, 112) in [0, 1], soft at its edges."""
    left_eye, right_eye, nose, left_mouth, right_mouth = TEMPLATE
    mouth, width = (left_mouth + right_mouth) / 2, float(np.hypot(*(right_mouth - left_mouth)))
    lips = _ellipse(mouth, 0.58 * width, 0.27 * width, 3)
    lids = sum(_ellipse(eye - [0, 6.5], 11, 5, 3) * (1 - _ellipse(eye, 8, 3.5, 2)) for eye in (left_eye, right_eye))
    cheeks = sum(_ellipse(np.array([x, nose[1] + 4]), 13, 9, 8) for x in (left_eye[0] - 4, right_eye[0] + 4))
    skin = _ellipse(np.array([nose[0], nose[1] - 4]), 38, 50, 8) * (1 - lips)
    return np.stack([lips, lids, cheeks, skin]).clip(0, 1).astype(np.float32)


def _ellipse(centre: NDArray[np.float64], across: float, down: float, soft: float) -> NDArray[np.float64]:
    """1 within an ellipse of those half axes, falling to 0 over about `soft` pixels, (112, 112)."""
    y, x = np.mgrid[:SIDE, :SIDE]
    beyond = (np.hypot((x - centre[0]) / across, (y - centre[1]) / down) - 1) * min(across, down)
    faded: NDArray[np.float64] = 1 / (1 + np.exp(4 * beyond / soft))
    return faded

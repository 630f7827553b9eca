"""Wasserstein distance of an image's and a face's standardised grey levels: a face whose pixels were put elsewhere.

It knows a face by which greys it has, wherever they lie: in a secret order of pixels, halved, lightened, inverted, with
signs by chance or under a little noise. Colour by colour where one alone may be matched, and, less strictly, all three
at once, also after a gamma curve. What noise's levels match about as well is nobody's.
"""

from __future__ import annotations

from functools import cache
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facemin.image import Pixels
    from facemin.protection.revealing.measures.image_planes import Planes

QUANTILES = 64
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
GAMMAS = (0.6, 0.77, 1.0, 1.3, 1.67)
CLIPPED = (1.0, 1.5, 1.75, 2.0, 2.25, 2.5, 3.0, 4.0)
"""Standard deviations at which normal noise ends, since 8 bits do; at 1 it is nearly uniform."""
POWERS = (0.7, 0.85, 1.0, 1.2, 1.5)
"""Of normal noise, for lighter and heavier tails."""
EXCESS = 3.0
"""Times as near to the face as to noise; less is what chance makes of greys that are like noise's."""
MIDDLE = np.int16(510)
"""Of the greys, in quarters."""
FLAT = 1e-6
NEAREST = 1e-3


def level_nearness(pixels: Pixels, face: Pixels) -> tuple[float, float]:
    """`nearness` of an image's and a face's levels, uint8 (112, 112, 3) each."""
    return nearness(grey_levels(pixels), grey_levels(face))


def nearness(shown: Planes, levels: Planes) -> tuple[float, float]:
    """How near the grey levels of any colour, and those of all colours at once, are in shape: 1 / distance.

    Args:
        shown: of the image, by `grey_levels`.
        levels: of the face, likewise.

    Returns:
        1 over the mean difference of quantiles in standard deviations, of the best of red, green, blue and luminance,
        and of the worst colour; as they are or inverted, the worst colour's also under the best gamma curve, or folded
        at mid-grey. 0 where noise's levels are not `EXCESS` times as far away; at most 1 / `NEAREST`.
    """
    shown, plain = _standard(shown), _standard(levels)
    noise = _distances(shown[:, :, None], _noise()[:, None]).min(-1)
    one = _distances(shown[0, :, None], _inverted_too(plain[0])).min(-1)
    curves = _inverted_too(_standard(np.stack([np.power(levels[0, :3] / 255, gamma) for gamma in GAMMAS])))
    every = [_distances(shown[0, :3], curves).max(-1).min(), _distances(shown[1, :3], plain[1, :3]).max()]
    return _highest(one, noise[0]), _highest(np.stack(every), noise[:, :3].max(-1))


def _distances(one: Planes, other: Planes) -> Planes:
    return np.asarray(np.abs(one - other).mean(-1))


def _highest(distances: Planes, noise: Planes) -> float:
    return float(np.where(distances * EXCESS < noise, 1 / np.maximum(distances, NEAREST), 0).max())


def grey_levels(pixels: Pixels) -> Planes:
    """Quantiles of red, green, blue and luminance, as they are and folded at mid-grey, (2, 4, QUANTILES)."""
    colours = pixels.reshape(-1, 3).astype(np.float32)
    # in steps of a quarter, of which whole numbers are sorted fast
    planes = np.rint(4 * np.concatenate([colours, colours @ LUMINANCE[:, None]], axis=1).T).astype(np.int16)
    places = ((np.arange(QUANTILES) + 0.5) / QUANTILES * len(colours)).astype(np.intp)
    both = np.sort(np.stack([planes, np.abs(planes - MIDDLE)]), axis=-1, kind="stable")
    return np.asarray(both[..., places] / 4, np.float32)


def _standard(levels: NDArray[np.floating]) -> Planes:
    """Without mean and spread; flat ones are 0."""
    levels = levels - levels.mean(-1, keepdims=True)
    return np.asarray(levels / np.maximum(levels.std(-1, keepdims=True), FLAT), np.float32)


def _inverted_too(levels: Planes) -> Planes:
    """Levels (N, ...) as they are and inverted, (2 N, ...)."""
    return np.concatenate([levels, -levels[..., ::-1]])


@cache
def _noise() -> Planes:
    """Levels of symmetric noise about mid-grey, as they are and folded, (2, N, QUANTILES)."""
    normal = NormalDist()
    places = [(number + 0.5) / QUANTILES for number in range(QUANTILES)]
    both = np.array([[normal.inv_cdf(place), normal.inv_cdf((1 + place) / 2)] for place in places]).T
    shapes = [both.clip(-most, most) for most in CLIPPED]
    return _standard(np.stack([np.sign(x) * np.abs(x) ** power for x in shapes for power in POWERS], axis=1))

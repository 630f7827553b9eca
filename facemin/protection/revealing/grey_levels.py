"""Wasserstein distance of an image's and a face's standardised grey levels: a face whose pixels were put elsewhere.

It knows a face by which greys it has, wherever they lie: in a secret order of pixels, halved, lightened, inverted or
under a little noise. Colour by colour where one alone may be matched, and, less strictly, all three at once, also after
a gamma curve.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facemin.protection.revealing.image_planes import Pixels, Planes

QUANTILES = 64
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
GAMMAS = (0.6, 0.77, 1.0, 1.3, 1.67)
FLAT = 1e-6
NEAREST = 1e-3


def level_nearness(pixels: Pixels, face: Pixels) -> tuple[float, float]:
    """How near the grey levels of any colour, and those of all colours at once, are in shape: 1 / distance.

    Args:
        pixels: the image, uint8 (112, 112, 3).
        face: likewise.

    Returns:
        1 over the mean difference of quantiles in standard deviations, of the best of red, green, blue and luminance,
        and of the worst colour; either as they are or inverted, the latter under the best gamma curve too. At most
        1 / `NEAREST`.
    """
    shown, plain = _standard(_levels(pixels)), _levels(face)
    either = _inverted_too(_standard(plain))
    one = np.abs(shown[:, None] - either[:, None]).mean(-1).min()
    curves = np.concatenate([_inverted_too(_standard(np.power(plain[:3] / 255, gamma))) for gamma in GAMMAS])
    every = np.abs(shown[:3] - curves).mean(-1).max(-1).min()
    return 1 / max(float(one), NEAREST), 1 / max(float(every), NEAREST)


def _levels(pixels: Pixels) -> Planes:
    """Quantiles of red, green, blue and luminance, (4, QUANTILES)."""
    colours = pixels.reshape(-1, 3).astype(np.float32)
    planes = np.concatenate([colours, colours @ LUMINANCE[:, None]], axis=1)
    return np.sort(planes, axis=0)[_places(len(planes))].T


def _places(count: int) -> NDArray[np.intp]:
    return ((np.arange(QUANTILES) + 0.5) / QUANTILES * count).astype(np.intp)


def _standard(levels: NDArray[np.floating]) -> Planes:
    """Without mean and spread; flat ones are 0."""
    levels = levels - levels.mean(-1, keepdims=True)
    return np.asarray(levels / np.maximum(levels.std(-1, keepdims=True), FLAT), np.float32)


def _inverted_too(levels: Planes) -> Planes:
    """As they are and inverted, (2, N, QUANTILES)."""
    return np.stack([levels, -levels[:, ::-1]])

"""Partial correlation of the RMS contrast of an image's and a face's blocks: a face that only strengths tell of.

A face on a carrier, as signs by chance, behind another secret rotation of each block, or as its edges alone shows in
how strong a block is about mid-grey or about its own mean, and in no sum of its pixels.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from facemin.protection.revealing.measures.image_planes import QUARTER, halved, mean_face, planes_of, turned, unit
from facemin.protection.revealing.measures.partial_correlation import mean_basis, remainder, strongest

if TYPE_CHECKING:
    from facemin.protection.revealing.measures.image_planes import Planes

MIDDLE = np.float32(127.5)


def contrast_correlation(shown: Planes, plain: Planes, limit: float) -> float:
    """The strongest correlation of contrast with contrast, or of contrast with luminance; 0 for what chance made.

    Args:
        shown: planes of the image, (N, 112, 112).
        plain: luminance of the face, (112, 112).
        limit: below it, a correlation is not tested for chance.
    """
    basis = _mean_basis()
    images, face = _maps(shown), _maps(plain[None])
    # luminance, about mid-grey, about the block's mean
    rest = turned(remainder(unit(face), basis).reshape(-1, QUARTER, QUARTER))
    luminance, contrast = images[: len(shown)], images[len(shown) : 2 * len(shown)]
    return max(strongest(unit(contrast), rest, basis, limit), strongest(unit(luminance), rest[:, 1:], basis, limit))


def _maps(planes: Planes) -> Planes:
    """Of each block the mean, the RMS about mid-grey and that about the mean, (3 N, 28, 28), by kind."""
    about = planes - MIDDLE
    mean, power = halved(halved(about)), halved(halved(about * about))
    return np.concatenate([mean, np.sqrt(power), np.sqrt(np.maximum(power - mean * mean, 0))])


@cache
def _mean_basis() -> Planes:
    """Of the mean face's luminance, contrast, and edges, which it has between blocks alone."""
    mean = planes_of(mean_face())[3:4]
    luminance, contrast = _maps(mean)[:2]
    return mean_basis(turned(np.stack([luminance, contrast, np.hypot(*np.gradient(luminance))])))

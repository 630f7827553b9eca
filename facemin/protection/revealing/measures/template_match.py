"""Normalised correlation of a whole face with every place of an image, at several sizes.

Source: Lewis, "Fast normalized cross-correlation", 1995.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from facemin.protection.revealing.measures.image_planes import FLAT, halved, mean_face, planes_of, resized, turned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facemin.protection.revealing.measures.image_planes import Planes

    Spectra = NDArray[np.complexfloating]

SIDES: dict[int, tuple[int, ...]] = {28: (24, 21, 18, 16), 56: (28, 24, 20, 17, 14)}
"""Of the faces looked for, by the side of the image they are looked for in."""
EXCESS = 0.18
"""By which a template must match better than the mean face's: an average face at that place is nobody's."""
PARTIAL = 0.75
"""Correlation, the mean face's held fixed, from which on a better match of any size is one: of faces much like it."""
LEAST = 0.15
"""Share of a face and a place that has to be left without the mean face to be compared whole."""


def measure(side: int, within: int) -> str:
    """What a size is called: the face's share of the image's side."""
    return f"template of {side * 112 // within} px"


def matches(shown: Planes, plain: Planes, limits: dict[str, float]) -> dict[str, float]:
    """The best match by size, of either sign; 0 where the mean face matches as well.

    Args:
        shown: planes of the image, (N, 112, 112).
        plain: luminance of the face, (112, 112).
        limits: by measure; below its own, a match is not compared with the mean face's.
    """
    found = {}
    half = halved(shown)
    for small in (halved(half), half):
        small = small - small.mean((1, 2), keepdims=True)
        within = small.shape[-1]
        spectra = np.fft.rfft2(small), np.fft.rfft2(small**2)
        for side in SIDES[within]:
            name = measure(side, within)
            template = _template(plain, side)
            found[name] = match = _match(spectra, _spectra(template, within), side)
            if match >= limits[name]:
                mean = _match(spectra, _mean_spectra(side, within), side)
                shared = float((template * _mean_template(side)).sum())
                if match < mean + (0 if _partial(match, mean, shared) >= PARTIAL else EXCESS):
                    found[name] = 0.0
    return found


def _partial(one: float, other: float, shared: float) -> float:
    """Of a correlation with a face, what is left with another face held fixed, from that one's and the faces' own."""
    rest = float(np.sqrt(max((1 - other**2) * (1 - shared**2), 0)))
    return (one - other * shared) / max(rest, LEAST)


def _match(spectra: tuple[Spectra, Spectra], template: Spectra, side: int) -> float:
    """The strongest correlation of any plane with any form at any place."""
    within = spectra[0].shape[-2]
    end = within - side + 1
    sums, squares = (np.fft.irfft2(each * _box(side, within), (within, within))[:, :end, :end] for each in spectra)
    spread = np.sqrt(np.maximum(squares - sums**2 / side**2, (2 * side) ** 2))
    products = np.fft.irfft2(spectra[0][:, None] * template, (within, within))[..., :end, :end]
    return float(np.abs(products / spread[:, None]).max())


def _template(plain: Planes, side: int) -> Planes:
    """A face of so many pixels a side, without its mean, of length 1."""
    small = resized(plain, side)
    small = small - small.mean()
    return np.asarray(small / max(float(np.linalg.norm(small)), FLAT * side))


def _spectra(template: Planes, within: int) -> Spectra:
    """Conjugate spectra of the turned template, (8, within, within / 2 + 1)."""
    return np.conj(np.fft.rfft2(turned(template), (within, within)))


@cache
def _mean_template(side: int) -> Planes:
    return _template(planes_of(mean_face())[3], side)


@cache
def _mean_spectra(side: int, within: int) -> Spectra:
    return _spectra(_mean_template(side), within)


@cache
def _box(side: int, within: int) -> Spectra:
    return np.conj(np.fft.rfft2(np.ones((side, side), np.float32), (within, within)))

"""Normalised correlation of a whole face with every place of an image, at several sizes.

Source: Lewis, "Fast normalized cross-correlation", 1995.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from facemin.protection.revealing.image_planes import FLAT, halved, mean_face, planes_of, resized, turned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facemin.protection.revealing.image_planes import Planes

    Spectra = NDArray[np.complexfloating]

SIDES: dict[int, tuple[int, ...]] = {28: (24, 21, 18, 16), 56: (28, 24, 20, 17, 14)}
"""Of the faces looked for, by the side of the image they are looked for in."""
EXCESS = 0.18
"""By which a template must match better than the mean face's: an average face at that place is nobody's."""


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
            match = _match(spectra, _template(plain, side, within), side, within)
            if match >= limits[name] and match < _match(spectra, _mean_template(side, within), side, within) + EXCESS:
                match = 0.0
            found[name] = match
    return found


def _match(spectra: tuple[Spectra, Spectra], template: Spectra, side: int, within: int) -> float:
    end = within - side + 1
    sums, squares = (np.fft.irfft2(each * _box(side, within), (within, within))[:, :end, :end] for each in spectra)
    spread = np.sqrt(np.maximum(squares - sums**2 / side**2, (2 * side) ** 2))
    products = np.fft.irfft2(spectra[0][:, None] * template, (within, within))[..., :end, :end]
    return float(np.abs(products / spread[:, None]).max())


def _template(plain: Planes, side: int, within: int) -> Spectra:
    """Conjugate spectra of the turned face, (8, within, within / 2 + 1)."""
    small = resized(plain, side)
    small = small - small.mean()
    small = small / max(float(np.linalg.norm(small)), FLAT * side)
    return np.conj(np.fft.rfft2(turned(small), (within, within)))


@cache
def _mean_template(side: int, within: int) -> Spectra:
    return _template(planes_of(mean_face())[3], side, within)


@cache
def _box(side: int, within: int) -> Spectra:
    return np.conj(np.fft.rfft2(np.ones((side, side), np.float32), (within, within)))

"""Spectrally whitened partial correlation of an image with a face: a weak face under noise, by all frequencies at once.

The matched filter for noise of the image's own spectrum (Turin, "An introduction to matched filters", 1960): each
frequency counts as much as the face stands out of the noise there, which no single band does.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from facemin.protection.revealing.measures.image_planes import HALF, halved, mean_face, planes_of, turned
from facemin.protection.revealing.measures.partial_correlation import even_light

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facemin.protection.revealing.measures.image_planes import Planes

    Spectra = NDArray[np.complexfloating]

LEAST_FACE = 0.2
"""Least share of a whitened face that has to be left without the mean face to be compared whole."""
FLAT = 1.0
"""Power of a frequency, squared grey levels times pixels, below which nothing is shown."""


def whitened_correlation(shown: Planes, plain: Planes) -> float:
    """The strongest correlation, of either sign, of the image with one of the face's turned forms.

    Args:
        shown: luminance of the image, (112, 112).
        plain: of the face, likewise.
    """
    image = np.fft.rfft2(halved(shown))
    weights = _white(image)
    basis = np.linalg.qr(_rows(_mean_spectra() * weights).T)[0].T
    faces = _unit(_rows(np.fft.rfft2(turned(halved(plain))) * weights))
    rest = faces - (faces @ basis.T) @ basis
    rest /= np.maximum(np.linalg.norm(rest, axis=1, keepdims=True), LEAST_FACE)
    return float(np.abs(rest @ _unit(_rows(image * weights))).max())


def _white(image: Spectra) -> NDArray[np.floating]:
    """By frequency, one over the amplitude that an image has at so long a wave; 0 for the mean."""
    power = np.square(np.abs(image))
    ring, count = _rings()
    by_ring = np.bincount(ring.ravel(), power.ravel()) / count
    weights = 1 / np.sqrt(np.maximum(by_ring, FLAT))[ring]
    weights[0, 0] = 0
    return np.asarray(weights)


@cache
def _rings() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The ring of each frequency, waves an image and rounded, and how many a ring has."""
    ring = np.rint(HALF * np.hypot(np.fft.fftfreq(HALF)[:, None], np.fft.rfftfreq(HALF))).astype(np.intp)
    return ring, np.bincount(ring.ravel())


@cache
def _mean_spectra() -> Spectra:
    """Of the turned mean face and of even light, (K, 56, 29)."""
    mean = turned(halved(planes_of(mean_face())[3]))
    return np.fft.rfft2(np.concatenate([mean, even_light(HALF)]))


def _rows(spectra: Spectra) -> Planes:
    """Whose products are those of the images, (..., 2 x 56 x 29)."""
    # all columns but the first and the last stand for two frequencies
    twice = np.full(spectra.shape[-1], np.sqrt(2))
    twice[[0, -1]] = 1
    both = np.stack([spectra.real, spectra.imag], axis=-1) * twice[:, None]
    return np.asarray(both.reshape(*spectra.shape[:-2], -1), np.float32)


def _unit(rows: Planes) -> Planes:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-6), np.float32)

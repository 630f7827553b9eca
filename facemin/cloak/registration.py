"""Registration of a known mask in a photo: where it lies, by whitened cross-correlation and Gauss-Newton steps.

Whoever takes a mask off without the landmarks that it was laid by finds the face anew, a pixel or two away, and then
subtracts what does not lie there. The mask itself, which its owner has, says where it is.

Sources: Kuglin and Hines, The phase correlation image alignment method, 1975 (whitened correlation); Lucas and Kanade,
An iterative image registration technique with an application to stereo vision, 1981.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facemin.face import SIDE, TEMPLATE, inverse, similarity
from facemin.face.align import align_unrounded
from facemin.face.sample import lattice, transform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facemin.face.sample import Doubles, Floats
    from facemin.image import Pixels

SIGNIFICANT = 7.0
"""Standard deviations of the correlation below which a mask counts as absent: plain photos reach 3 to 6."""

_REACH = 12
"""Pixels of the crop by which landmarks may be off."""
_SCALES = np.linspace(0.9, 1.1, 9)
_TURNS = np.radians(np.linspace(-6, 6, 9))
_STEPS = 6
_LARGEST_STEP = 0.02
"""Of scale and turn in one Gauss-Newton step."""
_OPPONENT = (np.array([[1, 1, 1], [1, -1, 0], [1, 1, -2]]) / np.sqrt([[3], [2], [6]])).astype(np.float32)
"""Brightness and two colour differences: a face's detail is nearly all brightness, a mask's is not."""
_CUT = 3.0
"""Spreads beyond which a crop's detail is cut off: edges are few and strong, and would outweigh all the rest."""


class Registration(NamedTuple):
    """Where a mask lies.

    Attributes:
        points: landmarks (5, 2) at which laying it gives what is seen.
        significance: of the correlation there, in standard deviations; below `SIGNIFICANT` it is chance.
    """

    points: Doubles
    significance: float


def register(pixels: Pixels, change: NDArray[np.int8], points: Doubles | Floats) -> Registration:
    """Find a mask near landmarks.

    Args:
        pixels: photo, uint8 RGB, (H, W, 3).
        change: the mask, grey levels (112, 112, 3).
        points: landmarks of the face as they were found, (5, 2); the mask may lie up to a tenth larger or smaller, 6
            degrees turned and 12 pixels of the crop away.

    Raises:
        ValueError: a wrong photo, or points that `facemin.face.similarity` refuses.
    """
    found = similarity(points[None])[0]
    mask = change.astype(np.float32)
    wanted = _fine(mask)
    best, matrix = -np.inf, found
    for scale, turn in product(_SCALES, _TURNS):
        tried = _after(_about_centre(scale * np.cos(turn), scale * np.sin(turn), np.zeros(2)), found)
        peak, shift = _correlated(*_detail(pixels, tried), wanted)
        if peak > best:
            best, matrix = peak, tried.copy()
            matrix[:, 2] -= shift
    for _ in range(_STEPS):
        matrix = _after(_correction(*_detail(pixels, matrix), mask), matrix)
    significance, _ = _correlated(*_detail(pixels, matrix), wanted)
    return Registration(_landmarks(matrix), significance)


def significance(pixels: Pixels, change: NDArray[np.int8], points: Doubles | Floats) -> float:
    """How surely a mask lies at landmarks that are a few pixels off, in standard deviations; see `SIGNIFICANT`.

    Args:
        pixels: as for `register`.
        change: as for `register`.
        points: as for `register`; neither another size nor a turn is tried.

    Raises:
        ValueError: as `register`.
    """
    return _correlated(*_detail(pixels, similarity(points[None])[0]), _fine(change.astype(np.float32)))[0]


def _after(second: Doubles, first: Doubles) -> Doubles:
    """The affine matrix (2, 3) of one after the other."""
    linear = second[:, :2] @ first
    linear[:, 2] += second[:, 2]
    return linear


def _about_centre(real: float, imaginary: float, shift: Doubles) -> Doubles:
    """The similarity (2, 3) that turns and scales a crop about its centre, then shifts it."""
    linear = np.array([[real, -imaginary], [imaginary, real]])
    centre = np.full(2, (SIDE - 1) / 2)
    return np.concatenate([linear, (centre - linear @ centre + shift)[:, None]], 1)


def _fine(image: Floats) -> Floats:
    """Opponent colours (112, 112, 3), a narrow Gaussian less a wider one, which whitens what faces are made of."""
    opponents: Floats = image @ _OPPONENT.T
    narrow = _binomial(opponents)
    return narrow - _binomial(_binomial(narrow))


def _binomial(values: Floats) -> Floats:
    """Values (H, W, 3) by (1, 2, 1) / 4 along both axes."""
    padded = np.pad(values, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = padded[2:] + 2 * padded[1:-1] + padded[:-2]
    smooth: Floats = (rows[:, 2:] + 2 * rows[:, 1:-1] + rows[:, :-2]) * np.float32(1 / 16)
    return smooth


def _detail(pixels: Pixels, matrix: Doubles) -> tuple[Floats, Floats]:
    """Fine detail of the crop that a matrix from photo to crop cuts out, in units of its spread (3,), and that."""
    fine = _fine(255 * align_unrounded(pixels, _landmarks(matrix)[None], border="replicate")[0])
    spread = (1.5 * np.median(np.abs(fine), (0, 1)) + 0.1).astype(np.float32)
    return (fine / spread).clip(-_CUT, _CUT), spread


def _landmarks(matrix: Doubles) -> Doubles:
    """Landmarks (5, 2) whose similarity is just this matrix from photo to crop."""
    return transform(inverse(matrix[None])[0], TEMPLATE)


def _correlated(detail: Floats, spread: Floats, wanted: Floats) -> tuple[float, Doubles]:
    """The largest correlation with a mask's fine detail within reach, in standard deviations, and its shift (x, y)."""
    template = np.fft.rfft2(wanted / spread, axes=(0, 1)).conj()
    surface = np.fft.irfft2((np.fft.rfft2(detail, axes=(0, 1)) * template).sum(2), (SIDE, SIDE))
    near = np.roll(surface, (_REACH, _REACH), (0, 1))[: 2 * _REACH + 1, : 2 * _REACH + 1]
    row, column = np.unravel_index(int(near.argmax()), near.shape)
    # an even picture correlates with nothing
    deviation = max(float(surface.std()), float(np.finfo(np.float32).tiny))
    return float(near[row, column]) / deviation, np.array([column, row], np.float64) - _REACH


def _correction(detail: Floats, spread: Floats, mask: Floats) -> Doubles:
    """The similarity (2, 3) that brings a crop nearer to the mask, by least squares in its slopes.

    The crop is taken for amount * mask(u + d(u)), d a shift plus a scale and turn about the centre, linear in them.
    """
    slope: Floats = np.stack([np.gradient(mask, axis=axis) for axis in (1, 0)]).astype(np.float32)
    place: Floats = (lattice(SIDE, SIDE) - (SIDE - 1) / 2).astype(np.float32).transpose(2, 0, 1)[..., None]
    grown: Floats = (place * slope).sum(0)
    turned: Floats = place[0] * slope[1] - place[1] * slope[0]
    columns = np.stack([(_fine(image) / spread).ravel() for image in (mask, *slope, grown, turned)], 1)
    amount, *rest = np.linalg.lstsq(columns, detail.ravel(), rcond=None)[0].astype(np.float64)
    if amount <= 0:
        return np.eye(2, 3)
    right, low, scale, turn = np.array(rest) / amount
    scale, turn = np.clip([scale, turn], -_LARGEST_STEP, _LARGEST_STEP)
    return _about_centre(1 + scale, turn, np.clip([right, low], -1, 1))

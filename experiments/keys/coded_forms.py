"""Linear, nonlinear and geometric codes of a face: hostile forms of which an eye, or a fitted inverter, makes the face.

The secret of a code is drawn anew for each face, as for a key that nobody has seen before. Amplitudes are chosen to use
the range of 8 bits, as a provider would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.fft import dctn, fft2, fftshift, ifft2
from scipy.ndimage import affine_transform

if TYPE_CHECKING:
    from hostile_forms import Form, Given
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]

MIDDLE = 127.5


def _blocks(face: NDArray[np.generic], side: int) -> Floats:
    """Values about mid-grey of each block and colour, (112 / side, 112 / side, 3, side^2)."""
    count = 112 // side
    parts = (face - MIDDLE).reshape(count, side, count, side, 3)
    return np.asarray(parts.transpose(0, 2, 4, 1, 3).reshape(count, count, 3, -1))


def _whole(blocks: Floats) -> Floats:
    """The image of `_blocks`."""
    count, side = len(blocks), 112 // len(blocks)
    parts = blocks.reshape(count, count, 3, side, side).transpose(0, 3, 1, 4, 2)
    return np.asarray(MIDDLE + parts.reshape(112, 112, 3))


def _moved(x: Given, side: int, *, signs: bool = False) -> Floats:
    """Blocks in a secret order, also each negative or not."""
    blocks = _blocks(x.face, side)
    flat = x.random.permutation(blocks.reshape(-1, 3 * side * side))
    if signs:
        flat = flat * x.random.choice([-1, 1], (len(flat), 1))
    return _whole(flat.reshape(blocks.shape))


def _scrambled(x: Given, side: int, *, signs: bool = False) -> Floats:
    """Pixels within each block in one secret order, also with one secret pattern of signs."""
    blocks = _blocks(x.face, side)[..., x.random.permutation(side * side)]
    return _whole(blocks * x.random.choice([-1, 1], side * side) if signs else blocks)


def _mixed(x: Given, side: int, *, colours: bool = False, orthogonal: bool = True) -> Floats:
    """Each block times one secret matrix, a colour at a time or all at once."""
    blocks = _blocks(x.face, side)
    rows = blocks.reshape(*blocks.shape[:2], 1, -1) if colours else blocks
    matrix = x.random.standard_normal((rows.shape[-1],) * 2)
    matrix = np.linalg.qr(matrix)[0] if orthogonal else matrix / np.sqrt(len(matrix))
    return _whole((rows @ matrix).reshape(blocks.shape))


def _warped(x: Given, matrix: NDArray[np.floating]) -> Floats:
    """The face under a linear map about its centre."""
    shift = 55.5 - matrix @ np.array([55.5, 55.5])
    planes = [affine_transform(x.face[..., c].astype(float), matrix, shift, order=1, mode="nearest") for c in range(3)]
    return np.stack(planes, -1)


def _turned(x: Given, degrees: float) -> Floats:
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return _warped(x, np.array([[cosine, sine], [-sine, cosine]]))


def _small(face: NDArray[np.generic], side: int) -> Floats:
    count = 112 // side
    return np.asarray(face.reshape(side, count, side, count, 3).mean((1, 3)))


def _bit(x: Given, bit: int) -> NDArray[np.generic]:
    """A face of one bit a colour, by noise added before the threshold, in one bit of noise."""
    one = (x.face + x.random.uniform(-64, 64, x.face.shape) > x.face.mean((0, 1))).astype(np.uint8)
    noise = x.random.integers(0, 256, x.face.shape, dtype=np.uint8)
    return (noise & ~np.uint8(1 << bit)) | (one << bit)


BAYER = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) * 16 + 8


def _halftone(x: Given) -> NDArray[np.generic]:
    return 255 * (x.face > np.tile(BAYER, (28, 28))[..., None])


def _carried(x: Given, carrier: NDArray[np.floating], *, positive: bool = False) -> Floats:
    """The face, about mid-grey or from black on, as the amplitude of a carrier of values within -1 to 1."""
    amplitude = x.face / 2 if positive else x.face - MIDDLE
    return np.asarray(MIDDLE + amplitude * carrier[..., None])


def _wave(period: float, angle: float = 0.0) -> Floats:
    rows, columns = np.mgrid[:112, :112]
    return np.asarray(np.cos(2 * np.pi * (rows * np.sin(angle) + columns * np.cos(angle)) / period))


def _stretched(values: Floats) -> Floats:
    """With three standard deviations about the mean in the range of 8 bits."""
    centred = values - values.mean((0, 1))
    return np.asarray(MIDDLE + centred / np.maximum(centred.std((0, 1)), 1e-9) * MIDDLE / 3)


def _spectral(magnitude: NDArray[np.generic], phase: NDArray[np.generic]) -> Floats:
    return _stretched(ifft2(magnitude * np.exp(1j * phase), axes=(0, 1)).real)


def _spectrum(x: Given) -> tuple[Floats, Floats]:
    found = fft2(x.face.astype(float), axes=(0, 1))
    return np.abs(found), np.angle(found)


def _spectrum_shown(x: Given) -> Floats:
    """Logarithm of the magnitudes, and phases, of luminance, and noise, as colours."""
    magnitude, phase = (fftshift(each.mean(-1)) for each in _spectrum(x))
    return _stretched(np.dstack([np.log1p(magnitude), phase, x.random.standard_normal((112, 112))]))


def _permuted_axes(x: Given, share: float = 1.0) -> Floats:
    rows, columns = x.random.permutation(112), x.random.permutation(112)
    return share * x.face[rows][:, columns]


def _gradient(x: Given) -> tuple[Floats, Floats]:
    down, right = np.gradient(x.face.astype(float), axis=(0, 1))
    return down, right


def _opponent(x: Given, direction: tuple[float, float, float]) -> Floats:
    """Luminance of the face in one difference of colours, noise in luminance."""
    grey = x.face.mean(-1, keepdims=True) - MIDDLE
    noise = x.random.normal(0, 40, grey.shape)
    return np.asarray(MIDDLE + noise + 0.4 * grey * np.array(direction))


def _snaked(x: Given) -> NDArray[np.generic]:
    """The face at 56 px, rows by turns from left and right, as a strip of 28 rows of 112 above noise."""
    small = _small(x.face, 56)
    small[1::2] = small[1::2, ::-1]
    noise = x.random.uniform(0, 255, (84, 112, 3))
    return np.concatenate([small.reshape(28, 112, 3), noise])


def _cosines(x: Given, *, by_frequency: bool) -> Floats:
    """Coefficients of each 8 x 8 block, each frequency as strong as the others, in place or a tile a frequency."""
    blocks = dctn((x.face - MIDDLE).reshape(14, 8, 14, 8, 3), axes=(1, 3), norm="ortho")
    blocks = blocks / blocks.std((0, 2, 4), keepdims=True) * 42
    image = blocks.transpose(1, 0, 3, 2, 4) if by_frequency else blocks
    return np.asarray(MIDDLE + image.reshape(112, 112, 3))


def _wavelets(x: Given, levels: int, *, coarse: bool) -> Floats:
    """Haar sub-bands in Mallat's order; the coarsest average may be left out for noise."""
    image = x.face - MIDDLE
    side = 112
    for _ in range(levels):
        for axis in (0, 1):
            part = np.moveaxis(image[:side, :side], axis, 0)
            low, high = (part[::2] + part[1::2]) / 2, (part[::2] - part[1::2]) / 2
            image[:side, :side] = np.moveaxis(np.concatenate([low, 4 * high]), 0, axis)
        side //= 2
    if not coarse:
        image[:side, :side] = x.random.uniform(-MIDDLE, MIDDLE, (side, side, 3))
    return np.asarray(MIDDLE + image)


def _over_pattern(x: Given, share: float) -> Floats:
    """The face and one pattern that every upload has."""
    pattern = np.random.default_rng(5).uniform(0, 255, (112, 112, 3))
    return np.asarray(share * x.face + (1 - share) * pattern)


CODED: dict[str, Form] = {
    **{f"blocks of {n} px in a secret order": lambda x, n=n: _moved(x, n) for n in (4, 8, 14, 28)},  # type: ignore[misc]
    **{f"the same of {n} px, signs by chance": lambda x, n=n: _moved(x, n, signs=True) for n in (4, 8, 14)},  # type: ignore[misc]
    **{f"pixels of each {n} x {n} block in one order": lambda x, n=n: _scrambled(x, n) for n in (4, 8, 14)},  # type: ignore[misc]
    **{f"the same of {n} x {n}, one pattern of signs": lambda x, n=n: _scrambled(x, n, signs=True) for n in (4, 8, 14)},  # type: ignore[misc]
    **{f"secret rotation of each {n} x {n} block": lambda x, n=n: _mixed(x, n) for n in (2, 4, 8, 14, 28)},  # type: ignore[misc]
    **{
        f"secret rotation of each {n} x {n} block, colours too": lambda x, n=n: _mixed(x, n, colours=True)  # type: ignore[misc]
        for n in (4, 8)
    },
    **{f"secret matrix times each {n} x {n} block": lambda x, n=n: _mixed(x, n, orthogonal=False) for n in (4, 8, 14)},  # type: ignore[misc]
    "secret affine map of each colour": lambda x: x.random.uniform(0, 200, 3) + x.face * x.random.uniform(-0.5, 0.5, 3),
    "secret matrix of colours": lambda x: (
        MIDDLE + (x.face - MIDDLE) @ np.linalg.qr(x.random.standard_normal((3, 3)))[0]
    ),
    **{f"turned by {n} degrees": lambda x, n=n: _turned(x, n) for n in (10, 20, 45)},  # type: ignore[misc]
    **{f"sheared by {n}": lambda x, n=n: _warped(x, np.array([[1, n], [0, 1]])) for n in (0.2, 0.5)},  # type: ignore[misc]
    **{f"tiles of {n} px": lambda x, n=n: np.tile(_small(x.face, n), (112 // n, 112 // n, 1)) for n in (56, 28, 14)},  # type: ignore[misc]
    **{f"one bit of it in bit {n}": lambda x, n=n: _bit(x, n) for n in (0, 2, 4, 6)},  # type: ignore[misc]
    "halftone": _halftone,
    **{f"on a wave of {n} px": lambda x, n=n: _carried(x, _wave(n)) for n in (3, 4, 6)},  # type: ignore[misc]
    "on an oblique wave of 5 px": lambda x: _carried(x, _wave(5, 0.6)),
    "on an oblique wave of 5 px, from black on": lambda x: _carried(x, _wave(5, 0.6), positive=True),
    "on noise, from black on": lambda x: _carried(x, x.random.uniform(-1, 1, (112, 112)), positive=True),
    "phases alone": lambda x: _spectral(np.ones(1), _spectrum(x)[1]),
    "phases of it, magnitudes of a protected image": lambda x: _spectral(
        np.abs(fft2(x.other.astype(float), axes=(0, 1))), _spectrum(x)[1]
    ),
    "its spectrum as a picture": _spectrum_shown,
    "rows and columns in secret orders": _permuted_axes,
    "the same, greys halved": lambda x: _permuted_axes(x, 0.5),
    "strength of edges": lambda x: _stretched(np.hypot(*_gradient(x))),
    "derivative along rows": lambda x: _stretched(_gradient(x)[1]),
    "second derivative": lambda x: _stretched(sum(np.gradient(each, axis=n) for n, each in enumerate(_gradient(x)))),
    **{f"{s:.0%} of it under one pattern": lambda x, s=s: _over_pattern(x, s) for s in (0.5, 0.3)},  # type: ignore[misc]
    "red less green": lambda x: _opponent(x, (1, -1, 0)),
    "green less red and blue": lambda x: _opponent(x, (-0.5, 1, -0.5)),
    "rows to and fro in a strip": _snaked,
    "cosines of each 8 x 8 block": lambda x: _cosines(x, by_frequency=False),
    "cosines, a tile a frequency": lambda x: _cosines(x, by_frequency=True),
    "cosines of the whole": lambda x: MIDDLE + 30 * np.cbrt(dctn(x.face - MIDDLE, axes=(0, 1), norm="ortho") / 10),
    **{f"wavelets of {n} levels": lambda x, n=n: _wavelets(x, n, coarse=True) for n in (1, 2, 3)},  # type: ignore[misc]
    "wavelets of 2 levels, no average": lambda x: _wavelets(x, 2, coarse=False),
}

"""Partial correlation of an image with a face, the mean face held fixed: by band, window, and rearrangement.

Two smooth pictures correlate by chance, as faces of two people do. The correlation of fields that have these spectra
and nothing in common has the variance sum_k |P_k|^2 |X_k|^2 for spectra of sum 1, so no correlation below `DEVIATIONS`
such deviations counts.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from facemin.protection.revealing.measures.image_planes import (
    HALF,
    SIDE,
    doubled,
    halved,
    mean_face,
    planes_of,
    turned,
    unit,
)

if TYPE_CHECKING:
    from facemin.image import Pixels
    from facemin.protection.revealing.measures.image_planes import Planes

BANDS = ("112 px", "56 px", "56 px, detail", "28 px", "28 px, detail", "14 px")
WINDOW, STRIDE = 28, 14
"""Of the windows on the image of 56 x 56."""
REARRANGED = (2, 4, 7, 8, 14, 16, 28, 56)
"""Tilings that are undone: so many pieces a side; 56 is the inverse of 2, and so on."""
LOW_BITS = (2, 4, 6)
"""So many low bits may hold it."""
DEVIATIONS = 4.5
SAME = 1e-3
LEAST_FACE, LEAST_IMAGE = 0.05, 0.3
"""Least share of a face, and of an image, that has to be left without the mean face to be compared whole."""


def remainders(plain: Planes) -> dict[str, Planes]:
    """What the mean face leaves of the turned face, by band: (8, 3, H, W), each plane of length 1.

    Args:
        plain: the face's planes, (6, 112, 112), of which luminance and colour differences are used.
    """
    # the mean face's span is closed under turns: what is left of a turned face is what is left, turned
    return {
        band: turned(remainder(unit(planes), _mean_bands()[band]).reshape(planes.shape))
        for band, planes in _bands(plain[3:]).items()
    }


def correlations(
    shown: Planes, pixels: Pixels, plain: Planes, rest: dict[str, Planes], limits: dict[str, float]
) -> dict[str, float]:
    """The strongest correlation, of either sign, by measure; 0 for what chance may have made.

    Args:
        shown: the image's planes, (6, 112, 112).
        pixels: the image.
        plain: the face's planes, (6, 112, 112).
        rest: of it, by `remainders`.
        limits: by measure; below its own, a correlation is not tested for chance.
    """
    found = {}
    for band, planes in _bands(shown).items():
        name = f"correlation at {band}"
        found[name] = strongest(unit(planes), rest[band], _mean_bands()[band], limits[name])
    views = {"a median": [_median(shown[3:4])], "rearranging": _rearrangements(shown[:4], pixels)}
    for view, several in views.items():
        half = np.concatenate([halved(each) for each in several])
        for band, small in (("56 px", half), ("28 px", halved(half))):
            name = f"correlation after {view}, {band}"
            found[name] = strongest(unit(small), rest[band], _mean_bands()[band], limits[name])
    name = "correlation in a window"
    found[name] = _windows(halved(shown[:4]), turned(halved(plain[3])), limits[name])
    return found


def _bands(planes: Planes) -> dict[str, Planes]:
    half = halved(planes)
    quarter = halved(half)
    eighth = halved(quarter)
    parts = (planes - doubled(half), half, half - doubled(quarter), quarter, quarter - doubled(eighth), eighth)
    return dict(zip(BANDS, parts, strict=True))


@cache
def _mean_bands() -> dict[str, Planes]:
    """An orthonormal basis of the turned mean face, by band, in luminance, colour and even light, (K, N)."""
    return {name: mean_basis(turned(band)) for name, band in _bands(planes_of(mean_face())[3:]).items()}


def mean_basis(planes: Planes) -> Planes:
    """An orthonormal basis of planes (K, H, H) and of even light, in rows (L, H H)."""
    forms = np.concatenate([planes.reshape(-1, *planes.shape[-2:]), even_light(planes.shape[-1])])
    left, strengths, right = np.linalg.svd(unit(forms), full_matrices=False)
    del left
    return np.asarray(right[strengths > SAME * strengths[0]], np.float32)


def even_light(side: int) -> Planes:
    """Light from one side and from the middle, which is nobody's: (5, side, side)."""
    ramp = np.broadcast_to(np.linspace(-1, 1, side, dtype=np.float32), (side, side))
    return np.asarray(64 * np.stack([ramp, ramp.T, ramp * ramp, ramp.T * ramp.T, ramp * ramp.T]))


def remainder(rows: Planes, mean: Planes) -> Planes:
    """Rows (..., N) of a face without what lies in the mean face's span, of length 1 where that is long enough."""
    rest = rows - (rows @ mean.T) @ mean
    return np.asarray(rest / np.maximum(np.linalg.norm(rest, axis=-1, keepdims=True), LEAST_FACE), np.float32)


def strongest(shown: Planes, rest: Planes, mean: Planes, limit: float) -> float:
    """The strongest correlation of images with a face, the mean face held fixed; 0 for what chance may have made.

    Args:
        shown: images, by `unit`, (P, H H).
        rest: what is left of turned faces, (..., H, H) or (..., H H).
        mean: the mean face's basis, by `mean_basis`.
        limit: below it, a correlation is not tested for chance.
    """
    faces = rest.reshape(-1, shown.shape[-1])
    common = shown @ mean.T
    length = np.sqrt(np.maximum(np.einsum("ij,ij->i", shown, shown) - np.einsum("ij,ij->i", common, common), 0))
    # `rest` is orthogonal to the mean face, so the image's own share of it need not be taken out first
    across = np.abs(shown @ faces.T) / np.maximum(length, LEAST_IMAGE)[:, None]
    row, face = np.unravel_index(int(across.argmax()), across.shape)
    if across[row, face] < limit:
        return float(across[row, face])
    left = (shown - common @ mean) / np.maximum(length, LEAST_IMAGE)[:, None]
    # the strongest one is mostly no chance, and then the others' spectra are not needed
    for pair in ((slice(row, row + 1), slice(face, face + 1)), (slice(None), slice(None))):
        chance = DEVIATIONS * np.sqrt(_spectrum(left[pair[0]]) @ _spectrum(faces[pair[1]]).T)
        best = float(np.where(across[pair] >= chance, across[pair], 0).max())
        if best > 0:
            return best
    return 0.0


def _spectrum(rows: Planes) -> Planes:
    """Shares of power by frequency, (..., F)."""
    side = int(np.sqrt(rows.shape[-1]))
    power = np.abs(np.fft.fft2(rows.reshape(*rows.shape[:-1], side, side)).reshape(rows.shape)) ** 2
    return np.asarray(power / np.maximum(power.sum(-1, keepdims=True), 1e-9), np.float32)


def _median(planes: Planes) -> Planes:
    """Medians of three, along rows and then along columns."""
    wide = np.pad(planes, ((0, 0), (1, 1), (1, 1)), mode="edge")
    columns = _middle(wide[:, :-2], wide[:, 1:-1], wide[:, 2:])
    return _middle(columns[..., :-2], columns[..., 1:-1], columns[..., 2:])


def _middle(a: Planes, b: Planes, c: Planes) -> Planes:
    return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))


def _rearrangements(shown: Planes, pixels: Pixels) -> list[Planes]:
    """Where a simple rearrangement of pixels, signs or bits may have put the face, each (N, 112, 112)."""
    views = []
    for pieces in REARRANGED:
        tiles = shown.reshape(-1, pieces, SIDE // pieces, pieces, SIDE // pieces)
        views.append(tiles.transpose(0, 2, 1, 4, 3).reshape(-1, SIDE, SIDE))
    centred = shown - shown.mean((1, 2), keepdims=True)
    signs = np.where(np.arange(SIDE) % 2, np.float32(1), np.float32(-1))
    views += [centred * (signs[:, None] * signs), centred * signs[:, None], centred * signs]
    by_plane = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))
    # what lies above the low bits falls out
    views += [(by_plane << np.uint8(8 - bits)).astype(np.float32) for bits in LOW_BITS]
    views.append(np.moveaxis(by_plane.reshape(SIDE, SIDE, 3), -1, 0).astype(np.float32))
    views.append(np.ascontiguousarray(pixels).reshape(3, SIDE, SIDE).astype(np.float32))
    return views


def _windows(shown: Planes, faces: Planes, limit: float) -> float:
    """The strongest correlation within windows of half the side."""
    found = []
    for (i, j), basis in _mean_windows().items():
        here = np.s_[..., i : i + WINDOW, j : j + WINDOW]
        found.append(strongest(unit(shown[here]), remainder(unit(faces[here]), basis), basis, limit))
    return max(found)


@cache
def _mean_windows() -> dict[tuple[int, int], Planes]:
    means = turned(halved(planes_of(mean_face())[3:]))
    starts = range(0, HALF - WINDOW + 1, STRIDE)
    return {(i, j): mean_basis(means[..., i : i + WINDOW, j : j + WINDOW]) for i in starts for j in starts}

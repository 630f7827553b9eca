"""Cross-validated ridge regression of a face on an image's blocks: a face under one secret linear map of each block.

The map is fitted on three quarters of the image and applied to the fourth, in turn, so that a correlation of what comes
out with the face is none that fitting made. It undoes what is the same linear map everywhere (secret rotations and
orders within blocks, with signs, strided convolutions, cosine and wavelet coefficients, side by side or a tile each),
without knowing it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facemin.protection.revealing.measures.image_planes import SIDE, resized

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facemin.protection.revealing.measures.image_planes import Planes

RIDGE = 0.3
"""Share of the mean power of a value."""
TURNED = 0.6
"""What a correlation with a turned form counts: seven of them have seven chances, and few codes turn a face as well."""
ONE = 64.0
"""Of the constant that a map may add, grey levels, so that the ridge holds it no more than the values."""


class Blocks(NamedTuple):
    """Which values a map reads.

    Attributes:
        side: of a block, pixels.
        tiled: they lie a tile for each place in a block, side^2 tiles, and not side by side.
        colours: of all colours at once; else there is one map for each.
    """

    side: int
    tiled: bool = False
    colours: bool = False

    @property
    def measure(self) -> str:
        """What a correlation with the face that comes out is called."""
        place = f"{self.side**2} tiles" if self.tiled else f"blocks of {self.side} px"
        return f"correlation after inverting {place}"


BLOCKS = (Blocks(2, tiled=True, colours=True), Blocks(4, colours=True), Blocks(7), Blocks(8), Blocks(8, tiled=True))


def inverted_correlations(shown: Planes, rest: dict[str, Planes]) -> dict[str, float]:
    """The strongest correlation of what each fitted inversion makes of an image with one of a face's turned forms.

    Args:
        shown: red, green and blue of the image, (3, 112, 112).
        rest: of the face, by `partial_correlation.remainders`.
    """
    light = {band: planes[:, 0] for band, planes in rest.items()}
    # mostly what varies within a block: light and shade of two smooth images may be alike by chance
    faces = {2: light["112 px"], 4: light["56 px, detail"], 7: resized(light["56 px"], 32), 8: light["28 px, detail"]}
    return {blocks.measure: _correlation(shown, faces[blocks.side], blocks) for blocks in BLOCKS}


def _correlation(shown: Planes, faces: Planes, blocks: Blocks) -> float:
    """Of faces with four pixels a block, (8, H, H)."""
    count = SIDE // blocks.side
    wanted = faces.reshape(-1, count, 2, count, 2).transpose(1, 3, 0, 2, 4).reshape(count * count, -1, 4)
    found = _out_of_fold(_values(shown, blocks), wanted.reshape(count * count, -1), _quarters(count))
    found = found.reshape(wanted.shape)
    products, power = (np.einsum("bfi,bfi->f", found, other) for other in (wanted, found))
    length = np.linalg.norm(faces, axis=(1, 2))
    # the first form is the face as it is
    counted = np.where(np.arange(len(faces)) == 0, 1, TURNED)
    return float((counted * products / np.maximum(length * np.sqrt(power), 1e-6)).max())


def _values(shown: Planes, blocks: Blocks) -> Planes:
    """Values of each block: (blocks, samples, values and a one)."""
    count, side = SIDE // blocks.side, blocks.side
    if blocks.tiled:
        parts = shown.reshape(3, side, count, side, count).transpose(2, 4, 0, 1, 3)
    else:
        parts = shown.reshape(3, count, side, count, side).transpose(1, 3, 0, 2, 4)
    values = parts.reshape(count * count, 1 if blocks.colours else 3, -1) - np.float32(127.5)
    return np.concatenate([values, np.full((*values.shape[:2], 1), ONE, np.float32)], axis=-1)


def _out_of_fold(values: Planes, wanted: Planes, folds: tuple[NDArray[np.intp], ...]) -> Planes:
    """What maps fitted on the other folds make of each, the mean over a block's samples, (blocks, targets)."""
    length = values.shape[-1]
    parts = [values[fold] for fold in folds]
    inner = np.stack([rows.T @ rows for rows in (part.reshape(-1, length) for part in parts)])
    outer = np.stack([part.sum(1).T @ wanted[fold] for part, fold in zip(parts, folds, strict=True)])
    inner, outer = inner.sum(0) - inner, outer.sum(0) - outer
    inner += RIDGE * np.trace(inner, axis1=1, axis2=2)[:, None, None] / length * np.eye(length, dtype=np.float32)
    maps = np.linalg.solve(inner, outer)
    found = np.empty_like(wanted)
    for part, fold, weights in zip(parts, folds, maps, strict=True):
        found[fold] = part.mean(1) @ weights
    return found


@cache
def _quarters(count: int) -> tuple[NDArray[np.intp], ...]:
    """Rows of blocks by quarter of the image: neighbours are alike, and must not tell of each other."""
    half = np.arange(count) * 2 // count
    quarter = (2 * half[:, None] + half).ravel()
    return tuple(np.flatnonzero(quarter == number) for number in range(4))

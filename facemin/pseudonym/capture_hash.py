"""Perceptual hash of a capture: what tells two copies of one photo of a face from two photos."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 112
BITS = 256
SAME_CAPTURE = 0.20
"""Share of differing bits up to which two faces are one capture; measured by experiments/pseudonym/captures.py."""

_FREQUENCIES = 16
_LUMA = np.array([0.299, 0.587, 0.114])

_MIRROR = np.packbits(np.arange(BITS) % 2 == 0)
"""Bits that a mirror image inverts: odd horizontal frequencies, which stand first, third, ... in each row."""

_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1)
"""Bits that are set in each byte."""


def capture_hashes(faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Perceptual hashes of aligned faces: signs of the 16 x 16 lowest frequencies of their luma, the mean left out.

    Source: the DCT hash of Zauner, Implementation and benchmarking of perceptual image hash functions, 2010, with the
    signs themselves in place of a comparison with their median.

    Args:
        faces: uint8 RGB, (112, 112, 3) or (N, 112, 112, 3), N >= 1.

    Returns:
        (N, 32) uint8, 256 packed bits, row by row of vertical frequencies 1..16.

    Raises:
        ValueError: other faces.
    """
    faces = np.asarray(faces)
    rows = faces[None] if faces.ndim == 3 else faces
    if rows.dtype != np.uint8 or rows.shape[1:] != (SIDE, SIDE, 3) or not len(rows):
        raise ValueError(
            f"faces: expected uint8 ({SIDE}, {SIDE}, 3) or (N, {SIDE}, {SIDE}, 3), got {faces.dtype} {faces.shape}"
        )
    places, frequencies = np.arange(SIDE) + 0.5, np.arange(1, _FREQUENCIES + 1)
    waves = np.cos(np.pi / SIDE * np.outer(frequencies, places))
    coefficients = waves @ (rows.astype(np.float64) @ _LUMA) @ waves.T
    return np.packbits(coefficients.reshape(len(rows), -1) > 0, axis=1)


def hash_distance(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """Share of differing bits of two hashes, of (32,) uint8, or of one and the other's mirror image if that is less."""
    return float(nearest_distances(first[None], second[None])[0])


def nearest_distances(hashes: NDArray[np.uint8], known: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Of known hashes (K, 32), each one's distance to the nearest of some, (M, 32) with M >= 1: (K,)."""
    apart = known[:, None] ^ hashes[None]
    bits = np.minimum(_ONES[apart].sum(-1), _ONES[apart ^ _MIRROR].sum(-1))
    return np.asarray(bits.min(1) / BITS, np.float64)

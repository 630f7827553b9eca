"""Pseudonyms: a secret rotation of the embedding space, uniform over all of them (Haar)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from facemin.pseudonym.derivation import LARGEST_DIMENSION, Context, check_integer, derive_seed, normals
from facemin.pseudonym.encoding import derive_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from facemin.pseudonym.secret import Secret

_FINGERPRINT_SALT = "facemin pseudonym fingerprint v1"
_LEAST_NORM = 1e-6  # below it, float32 embeddings have no direction


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Pseudonym:
    """The rotation that one secret makes for one context.

    Args:
        secret: whose it is.
        context: what it is bound to.
    """

    secret: Secret = field(repr=False)
    context: Context

    @cached_property
    def matrix(self) -> NDArray[np.float64]:
        """The rotation, (D, D) float64, orthogonal, read-only: whoever has it has the pseudonym."""
        matrix = haar(derive_seed(self.secret, self.context), self.context.dimension)
        matrix.setflags(write=False)
        return matrix

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that tell pseudonyms apart and say nothing about secret or rotation."""
        return derive_key(derive_seed(self.secret, self.context), salt=_FINGERPRINT_SALT, length=8).hex()

    def targets(self, embeddings: ArrayLike) -> NDArray[np.float32]:
        """Rotate embeddings: what a protected image is made for, or is sent as a feature.

        Made to unit length before and after the rotation, in float64, so that a recogniser which leaves lengths free
        tells nothing by them.

        Args:
            embeddings: (N, D), of any length above 1e-6.

        Returns:
            (N, D) float32, rows of unit length.

        Raises:
            ValueError: another shape, numbers that are not finite, or a row without a direction.
        """
        rows = unit_rows(embeddings, "embeddings")
        if rows.shape[1] != self.context.dimension:
            raise ValueError(f"embeddings: expected (N, {self.context.dimension}), got {rows.shape}")
        return unit_rows(rows @ self.matrix.T, "targets").astype(np.float32)

    def describe(self) -> dict[str, Any]:
        """For records on the person's own device: fingerprints and what is public, neither secret nor rotation."""
        return {
            "secret": self.secret.fingerprint,
            "pseudonym": self.fingerprint,
            "origin": self.context.origin,
            "signer": self.context.signer.hex() or None,
            "space": self.context.space.hex(),
            "dimension": self.context.dimension,
            "purpose": self.context.purpose,
            "epoch": self.context.epoch,
        }

    def __repr__(self) -> str:
        return f"Pseudonym({self.fingerprint}, secret={self.secret.fingerprint}, context={self.context!r})"


def haar(seed: bytes, dimension: int) -> NDArray[np.float64]:
    """A matrix uniform over the orthogonal group O(D), reflections included, from a seed.

    The Q of G = Q R with a positive diagonal of R, G of independent standard normal numbers, row by row.

    Source: Mezzadri, How to generate random matrices from the classical compact groups, 2007.

    Args:
        seed: 32 bytes.
        dimension: D, 2..1024.

    Returns:
        (D, D) float64.

    Raises:
        ValueError: the seed or the dimension is none of these.
    """
    check_integer("dimension", dimension, 2, LARGEST_DIMENSION)
    gaussian = normals(seed, dimension * dimension).reshape(dimension, dimension)
    # LAPACK's Householder reflections; their signs are a matter of convention and are set right here
    rotation, upper = np.linalg.qr(gaussian)
    return np.asarray(rotation * np.sign(np.diagonal(upper)), np.float64)


def average_views(views: Sequence[ArrayLike]) -> NDArray[np.float64]:
    """The mean direction of several embeddings of one face: itself and its mirror image, or several frames.

    Args:
        views: at least one, each (N, D), row n of each being of the same face.

    Returns:
        (N, D) float64, rows of unit length.

    Raises:
        ValueError: none, shapes that differ, or a face whose views cancel out.
    """
    rows = [unit_rows(view, f"views[{at}]") for at, view in enumerate(views)]
    if not rows or any(row.shape != rows[0].shape for row in rows):
        raise ValueError(f"views: expected at least one, all (N, D), got {[row.shape for row in rows]}")
    return unit_rows(np.mean(rows, 0), "mean of the views")


def unit_rows(rows: ArrayLike, name: str = "embeddings") -> NDArray[np.float64]:
    """Rows made to unit length, (N, D) float64.

    Raises:
        ValueError: not (N, D) with D >= 2, numbers that are not finite, or a row shorter than 1e-6.
    """
    array = np.asarray(rows)
    if array.dtype.kind not in "fiu" or array.ndim != 2 or array.shape[1] < 2:
        raise ValueError(f"{name}: expected real numbers (N, D), got {array.dtype} {array.shape}")
    wide = array.astype(np.float64)
    wrong = np.logical_not(np.isfinite(wide)).any(axis=1)
    if wrong.any():
        raise ValueError(f"{name}: expected finite numbers, got others in row {_first(np.asarray(wrong))}")
    # by its largest number first, so that no square overflows
    largest = np.abs(wide).max(1, keepdims=True)
    if (largest < _LEAST_NORM).any():
        raise ValueError(
            f"{name}: expected rows with a direction, got row {_first(largest[:, 0] < _LEAST_NORM)} near 0"
        )
    wide = wide / largest
    return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True), np.float64)


def _first(wrong: NDArray[np.bool_]) -> int:
    return int(np.flatnonzero(wrong)[0])

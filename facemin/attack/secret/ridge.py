"""Ridge maps from whatever is computed of uploads to plain embeddings, taught by other people's pairs (row T5)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Rows = NDArray[np.float64]

RIDGES = (1e-2, 1e-1, 1.0, 10.0, 100.0)
"""Tried on people held out, in units of the standardised inputs' variance. Where inputs outnumber pairs the least is as
good as none."""

_HELD_OUT = 5
"""One pair in so many chooses the ridge."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RidgeMap:
    """Inputs (N, P) to unit embeddings (N, D).

    Attributes:
        centre: mean of the inputs learnt from, or of another kind's, (P,).
        scale: deviation of the inputs learnt from, (P,).
        matrix: (P, D).
        offset: (D,).
        ridge: the one chosen.
        cosine: mean cosine to the truth on the pairs held out.
    """

    centre: Rows
    scale: Rows
    matrix: Rows
    offset: Rows
    ridge: float
    cosine: float

    def __call__(self, inputs: ArrayLike) -> Rows:
        """Embed; the mean of the teacher's embeddings is left out, which says nothing of anybody."""
        rows = (np.asarray(inputs, np.float64) - self.centre) / self.scale @ self.matrix
        return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))

    def centred_on(self, heap: ArrayLike) -> RidgeMap:
        """The same map for inputs of another kind, whose own mean is taken away; their scale stays as it was learnt.

        Args:
            heap: inputs of that kind, of anybody, (M, P), M >= 1.

        Raises:
            ValueError: another shape, numbers that are not finite, or nothing to take a mean of.
        """
        rows = np.asarray(heap, np.float64)
        if rows.ndim != 2 or not len(rows) or rows.shape[1] != len(self.centre):
            raise ValueError(f"heap: expected (M, {len(self.centre)}), M >= 1, got {rows.shape}")
        if not np.isfinite(rows).all():
            raise ValueError("heap: expected finite numbers")
        return replace(self, centre=rows.mean(0))


def fit_ridge(inputs: ArrayLike, plain: ArrayLike, *, seed: int = 0) -> RidgeMap:
    """Fit the map; a fifth of the pairs chooses the ridge, then all are fitted.

    Args:
        inputs: of the attacker's own people's uploads, (N, P), N >= 10; one pair a person.
        plain: the teacher's embeddings of the same people's plain photos, (N, D).
        seed: of the pairs held out.

    Raises:
        ValueError: shapes that do not fit, or numbers that are not finite.
    """
    rows, wanted = np.asarray(inputs, np.float64), np.asarray(plain, np.float64)
    if rows.ndim != 2 or wanted.ndim != 2 or len(rows) != len(wanted) or len(rows) < 2 * _HELD_OUT:
        raise ValueError(f"inputs, plain: expected (N, P), (N, D), N >= 10, got {rows.shape}, {wanted.shape}")
    if not (np.isfinite(rows).all() and np.isfinite(wanted).all()):
        raise ValueError("inputs, plain: expected finite numbers")
    centre, scale, offset = rows.mean(0), rows.std(0), wanted.mean(0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    x, y = (rows - centre) / scale, wanted - offset
    held = np.random.default_rng(seed).permutation(len(x)) % _HELD_OUT == 0
    cosines = {}
    for ridge, matrix in zip(RIDGES, _solve(x[~held], y[~held], RIDGES), strict=True):
        made = x[held] @ matrix
        length = np.linalg.norm(made, axis=1) * np.linalg.norm(y[held], axis=1)
        cosines[ridge] = float(((made * y[held]).sum(1) / np.maximum(length, 1e-12)).mean())
    best = max(cosines, key=cosines.__getitem__)
    (matrix,) = _solve(x, y, (best,))
    return RidgeMap(centre=centre, scale=scale, matrix=matrix, offset=offset, ridge=best, cosine=cosines[best])


def _solve(x: Rows, y: Rows, ridges: tuple[float, ...]) -> list[Rows]:
    """Matrices (P, D), in whichever of pairs and inputs is fewer; penalties in units of one input's sum of squares."""
    wide = x.shape[1] > len(x)
    values, axes = np.linalg.eigh(x @ x.T if wide else x.T @ x)
    side = axes.T @ y if wide else axes.T @ (x.T @ y)
    solved = [axes @ (side / (np.maximum(values, 0) + ridge * len(x))[:, None]) for ridge in ridges]
    return [x.T @ each for each in solved] if wide else solved

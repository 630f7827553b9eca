"""Variation predicted from a face: how alike a person's uploads will be, guessed from one plain photo (row T6).

Some faces look alike in every photo and others do not; other people's photos teach how that shows in a plain
embedding. So an attacker with one photo a candidate has something to compare an account's Gram matrix with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Rows = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class VariationPredictor:
    """Plain embeddings (N, C) to the mean cosine expected between the person's uploads, (N,).

    Attributes:
        centre: (C,).
        scale: (C,).
        weights: (C,).
        offset: the mean.
    """

    centre: Rows
    scale: Rows
    weights: Rows
    offset: float

    def __call__(self, plain: ArrayLike) -> Rows:
        """Predict."""
        return np.asarray((np.asarray(plain, np.float64) - self.centre) / self.scale @ self.weights + self.offset)


def fit_variation(
    plain: ArrayLike, similarity: ArrayLike, importance: ArrayLike, *, ridge: float
) -> VariationPredictor:
    """Ridge regression over other people's photos.

    Args:
        plain: embeddings of the attacker's own people, one a photo, (N, C).
        similarity: mean cosine between the photos of each photo's person, (N,).
        importance: weight of each photo, (N,), none negative.
        ridge: in units of the standardised inputs' variance; positive.

    Raises:
        ValueError: shapes that do not fit, or a ridge that is not positive.
    """
    rows, wanted, weight = (np.asarray(each, np.float64) for each in (plain, similarity, importance))
    if rows.ndim != 2 or wanted.shape != (len(rows),) or weight.shape != (len(rows),) or len(rows) < 2:
        raise ValueError(
            f"plain, similarity, importance: expected (N, C), (N,), (N,), got {rows.shape}, {wanted.shape}"
        )
    if not 0 < ridge < np.inf or (weight < 0).any() or weight.sum() == 0:
        raise ValueError("ridge, importance: expected a positive number, and weights of which none is negative")
    centre, scale = rows.mean(0), np.maximum(rows.std(0), 1e-12)
    inputs, offset = (rows - centre) / scale, float(np.average(wanted, weights=weight))
    covariance = inputs.T @ (weight[:, None] * inputs) + ridge * weight.sum() * np.eye(rows.shape[1])
    weights = np.linalg.solve(covariance, inputs.T @ (weight * (wanted - offset)))
    return VariationPredictor(centre=centre, scale=scale, weights=weights, offset=offset)


def scalar_scores(observed: ArrayLike, expected: ArrayLike, *, correlation: float) -> Rows:
    """Log likelihood ratio of one person against two, for standard normal numbers that correlate within people.

    Args:
        observed: one number an account, (N,).
        expected: one a candidate, (M,).
        correlation: between both of one person, in (-1, 1).

    Returns:
        (N, M); each side is standardised by itself.

    Raises:
        ValueError: a correlation out of range.
    """
    if not -1 < correlation < 1:
        raise ValueError(f"correlation: expected in (-1, 1), got {correlation}")
    x, y = ((each - each.mean()) / max(float(each.std()), 1e-12) for each in map(np.asarray, (observed, expected)))
    cross = 2 * correlation * np.outer(x, y) - correlation**2 * (x[:, None] ** 2 + y[None] ** 2)
    return np.asarray(cross / (2 * (1 - correlation**2)))

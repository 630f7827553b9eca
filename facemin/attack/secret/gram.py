"""Gram matching: accounts found by how their uploads relate to one another, which no rotation hides (row T6).

n uploads under one rotation have the Gram matrix of their embeddings. What an attacker compares is a statistic of it
that does not depend on the order of the uploads, with the same statistic of n other photos of each candidate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    Rows = NDArray[np.float64]

_QUANTILES = np.linspace(0, 1, 8)


def gram(rows: ArrayLike) -> Rows:
    """Cosines of every two of n embeddings of unit length, (..., n, D) to (..., n, n).

    Raises:
        ValueError: fewer than two.
    """
    array = np.asarray(rows, np.float64)
    if array.ndim < 2 or array.shape[-2] < 2:
        raise ValueError(f"rows: expected (..., n, D) with n >= 2, got {array.shape}")
    return np.asarray(array @ array.swapaxes(-1, -2))


def entries(grams: Rows) -> Rows:
    """What stands above the diagonal, rising: (N, n, n) to (N, n (n - 1) / 2)."""
    above = np.triu_indices(grams.shape[-1], 1)
    found: Rows = np.sort(grams[..., above[0], above[1]], axis=-1)
    return found


def _mean(grams: Rows) -> Rows:
    mean: Rows = entries(grams).mean(-1, keepdims=True)
    return mean


def _moments(grams: Rows) -> Rows:
    values = entries(grams)
    return np.stack([values.mean(-1), values.std(-1)], -1)


def _eigenvalues(grams: Rows) -> Rows:
    return np.asarray(np.linalg.eigvalsh(grams)[..., ::-1])


def _quantiles(grams: Rows) -> Rows:
    return np.moveaxis(np.quantile(entries(grams), _QUANTILES, axis=-1), 0, -1)


def _row_means(grams: Rows) -> Rows:
    return np.asarray(np.sort((grams.sum(-1) - 1) / (grams.shape[-1] - 1), axis=-1))


STATISTICS: dict[str, Callable[[Rows], Rows]] = {
    "mean": _mean,
    "mean and deviation": _moments,
    "entries": entries,
    "eigenvalues": _eigenvalues,
    "quantiles": _quantiles,
    "row means": _row_means,
    "all together": lambda grams: np.concatenate([_quantiles(grams), _eigenvalues(grams), _row_means(grams)], -1),
}
"""Statistics of Gram matrices (N, n, n), (N, K), by name."""


def nearest_scores(uploads: Rows, gallery: Rows) -> Rows:
    """Less the squared distance of statistics (N, K) and (M, K), each in units of its deviation in the gallery."""
    scale = np.maximum(gallery.std(0), 1e-12)
    return np.asarray(-(((uploads[:, None] - gallery[None]) / scale) ** 2).sum(-1))


@dataclass(frozen=True, kw_only=True, eq=False)
class LikelihoodMatcher:
    """Log of how much likelier two statistics are of one person than of two, both being Gaussian.

    Linear discriminant analysis with uncertainty: what varies within people counts for little, and a candidate who is
    unlike everybody counts for more.

    Source: Prince and Elder, Probabilistic linear discriminant analysis for inferences about identity, 2007.

    Attributes:
        covariance: of (upload's statistic, candidate's statistic) of one person, both standardised, (2K, 2K).
    """

    covariance: Rows

    def __call__(self, uploads: Rows, gallery: Rows) -> Rows:
        """Scores (N, M) of statistics (N, K), (M, K); each side is standardised by itself."""
        k = len(self.covariance) // 2
        apart = self.covariance.copy()
        apart[:k, k:] = apart[k:, :k] = 0
        gain = np.linalg.inv(apart) - np.linalg.inv(self.covariance)
        x, y = standardised(uploads), standardised(gallery)
        own = [0.5 * np.einsum("id,de,ie->i", rows, block, rows) for rows, block in _diagonal(x, y, gain, k)]
        return np.asarray(x @ gain[:k, k:] @ y.T + own[0][:, None] + own[1][None])


def fit_likelihood(uploads: Rows, gallery: Rows, *, shrinkage: float) -> LikelihoodMatcher:
    """Fit to other people, whose statistics are known from two sets of photos each.

    Args:
        uploads: statistics (N, K), N >= 3; a person may come again with other photos.
        gallery: of the same people, (N, K).
        shrinkage: added to the covariance's diagonal, in units of its mean; positive.

    Raises:
        ValueError: other shapes, or a shrinkage that is not positive.
    """
    if uploads.ndim != 2 or uploads.shape != gallery.shape or len(uploads) < 3:
        raise ValueError(f"uploads, gallery: expected the same (N, K), N >= 3, got {uploads.shape}, {gallery.shape}")
    if not 0 < shrinkage < np.inf:
        raise ValueError(f"shrinkage: expected a positive number, got {shrinkage}")
    x, y = standardised(uploads), standardised(gallery)
    joint = np.cov(np.concatenate([x, y], 1), rowvar=False)
    joint += shrinkage * joint.trace() / len(joint) * np.eye(len(joint))
    return LikelihoodMatcher(covariance=joint)


def standardised(rows: Rows) -> Rows:
    """Each column of statistics (N, K) less its mean, in units of its deviation."""
    return np.asarray((rows - rows.mean(0)) / np.maximum(rows.std(0), 1e-12))


def _diagonal(x: Rows, y: Rows, gain: Rows, k: int) -> tuple[tuple[Rows, Rows], tuple[Rows, Rows]]:
    return (x, gain[:k, :k]), (y, gain[k:, k:])

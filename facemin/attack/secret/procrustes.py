"""Orthogonal Procrustes: the rotation from known pairs of plain embeddings and what was uploaded for them (row T6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_NOTHING = 1e-8
"""Of the largest singular value: directions below it were in no pair."""


def known_rotation(plain: ArrayLike, uploaded: ArrayLike) -> NDArray[np.float64]:
    """The rotation Q with uploaded ~ Q plain, in least squares; zero along directions that no pair shows.

    Fewer than D pairs show a part of the space only: what is returned is then a partial isometry, whose transpose takes
    an upload back to the part that is known.

    Source: Schoenemann, A generalized solution of the orthogonal Procrustes problem, 1966.

    Args:
        plain: embeddings (N, D), N >= 1.
        uploaded: what was sent for each, (N, D).

    Returns:
        (D, D) float64.

    Raises:
        ValueError: shapes that differ or are none of these; numbers that are not finite.
    """
    first, second = _pairs(plain, uploaded)
    left, values, right = np.linalg.svd(second.T @ first)
    shown = values > _NOTHING * max(values[0], np.finfo(np.float64).tiny)
    return np.asarray(left[:, shown] @ right[shown])


def known_map(plain: ArrayLike, uploaded: ArrayLike, *, ridge: float) -> NDArray[np.float64]:
    """The linear map M with plain ~ M uploaded by ridge regression: no rotation, and better where uploads are noisy.

    Args:
        plain: embeddings (N, D), N >= 1.
        uploaded: what was sent for each, (N, D).
        ridge: added to the covariance of the uploads, in units of its mean variance; positive.

    Returns:
        (D, D) float64.

    Raises:
        ValueError: as `known_rotation`, or a ridge that is not positive.
    """
    first, second = _pairs(plain, uploaded)
    if not 0 < ridge < np.inf:
        raise ValueError(f"ridge: expected a positive number, got {ridge}")
    covariance = second.T @ second
    covariance += ridge * covariance.trace() / len(covariance) * np.eye(len(covariance))
    return np.asarray(np.linalg.solve(covariance, second.T @ first).T)


def _pairs(plain: ArrayLike, uploaded: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = np.asarray(plain, np.float64), np.asarray(uploaded, np.float64)
    if first.ndim != 2 or first.shape != second.shape or 0 in first.shape:
        raise ValueError(f"plain, uploaded: expected the same shape (N, D), N >= 1, got {first.shape}, {second.shape}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("plain, uploaded: expected finite numbers")
    return first, second

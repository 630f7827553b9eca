"""Gromov-Wasserstein distance between Gram matrices: the best match of two sets of uploads, none of them in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]


def gromov_scores(
    uploads: Rows, gallery: Rows, *, steps: int = 15, rounds: int = 15, temperature: float = 0.02
) -> Rows:
    """Less the Gromov-Wasserstein discrepancy of every two Gram matrices, under entropic plans.

    Source: Memoli, Gromov-Wasserstein distances and the metric approach to object matching, 2011; the iteration of
    Peyre, Cuturi and Solomon, 2016, started where sorted row means are matched.

    Args:
        uploads: (N, n, n).
        gallery: (M, m, m).
        steps: of the outer iteration.
        rounds: of Sinkhorn's within one.
        temperature: entropy of a plan, in units of a squared cosine.

    Returns:
        (N, M) float64.

    Raises:
        ValueError: other shapes.
    """
    if uploads.ndim != 3 or gallery.ndim != 3:
        raise ValueError(f"uploads, gallery: expected (N, n, n), (M, m, m), got {uploads.shape}, {gallery.shape}")
    return np.stack([_one_against(each, gallery, steps, rounds, temperature) for each in uploads])


def _one_against(one: Rows, gallery: Rows, steps: int, rounds: int, temperature: float) -> Rows:
    n, m = len(one), gallery.shape[1]
    # squared discrepancy: of constants that no plan changes, less twice the products
    constant = (one**2).mean(1)[:, None] + (gallery**2).mean(2)[:, None, :]
    rows = (one.sum(1) / n)[:, None] - gallery.sum(2)[:, None, :] / m
    plan = _plans(rows**2, temperature, rounds)
    for _ in range(steps):
        plan = _plans(constant - 2 * one @ plan @ gallery, temperature, rounds)
    return np.asarray(-((constant - 2 * one @ plan @ gallery) * plan).sum((1, 2)))


def _plans(cost: Rows, temperature: float, rounds: int) -> Rows:
    """Sinkhorn over a batch of costs (M, n, m), uniform on both sides."""
    kernel = np.exp(-(cost - cost.min((1, 2), keepdims=True)) / temperature) + 1e-30
    n, m = cost.shape[1:]
    right = np.ones((len(cost), 1, m))
    for _ in range(rounds):
        left = 1 / n / (kernel * right).sum(2, keepdims=True)
        right = 1 / m / (kernel * left).sum(1, keepdims=True)
    return np.asarray(left * kernel * right)

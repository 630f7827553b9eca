"""Score matching: accounts found by the scores of their probes with what is enrolled (row T6).

Where a probe keeps no more than its scores, or whether the best of them is enough, an account's uploads say how the
person's photos compare with one of them. What an attacker compares are statistics of that, with what other photos of
each candidate and the candidate's face let expect.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facemin.attack.secret.gram import standardised

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Rows = NDArray[np.float64]

_STEPS = 30


def probe_scores(uploads: ArrayLike) -> Rows:
    """Cosines of an account's probes with its first upload, (..., n, D) to (..., n - 1).

    Raises:
        ValueError: fewer than two uploads.
    """
    rows = np.asarray(uploads, np.float64)
    if rows.ndim < 2 or rows.shape[-2] < 2:
        raise ValueError(f"uploads: expected (..., n, D) with n >= 2, got {rows.shape}")
    return np.asarray((rows[..., 1:, :] @ rows[..., :1, :].swapaxes(-1, -2))[..., 0])


def score_statistics(scores: Rows, most: float) -> Rows:
    """Mean, least, deviation and share at `most` or above, of scores that are made no larger: (..., m) to (..., 4)."""
    told = np.minimum(scores, most)
    return np.stack([told.mean(-1), told.min(-1), told.std(-1), (told >= most - 1e-6).mean(-1)], -1)


def expected_statistics(grams: Rows, most: float) -> Rows:
    """The same of a candidate's photos, each in turn taken for the enrolled one: Gram matrices (N, m, m) to (N, 4).

    Raises:
        ValueError: fewer than two photos.
    """
    m = grams.shape[-1]
    if grams.ndim != 3 or m < 2:
        raise ValueError(f"grams: expected (N, m, m) with m >= 2, got {grams.shape}")
    others = grams[:, ~np.eye(m, dtype=bool)].reshape(len(grams), m, m - 1)
    return np.asarray(score_statistics(others, most).mean(1))


@dataclass(frozen=True, kw_only=True, eq=False)
class PairClassifier:
    """Logistic regression on pairs of an account and a candidate: do they belong together?

    It sees both sides' statistics, their squares, and every product of one with the other.

    Attributes:
        weights: of these, (F,).
    """

    weights: Rows

    def __call__(self, accounts: Rows, candidates: Rows) -> Rows:
        """Log odds (N, M) of statistics (N, K), (M, L); each side is standardised by itself."""
        x, y = standardised(accounts), standardised(candidates)
        k, m = x.shape[1], y.shape[1]
        own, other, cross = np.split(self.weights[1:], [2 * k, 2 * k + 2 * m])
        mixed = x @ cross.reshape(k, m) @ y.T
        return np.asarray(
            self.weights[0] + (_squares(x) @ own)[:, None] + (_squares(y) @ other)[None] + mixed, np.float64
        )


def fit_pairs(accounts: Rows, candidates: Rows, *, ridge: float, seed: int, others: int = 3) -> PairClassifier:
    """Fit to other people, of whom both sides are known.

    Args:
        accounts: statistics (N, K), N >= 3.
        candidates: of the same people's other photos, (N, L).
        ridge: penalty on squared weights, in units of a pair's loss; positive.
        seed: of the pairs of different people.
        others: such pairs for each right one.

    Raises:
        ValueError: shapes that do not fit, or a ridge that is not positive.
    """
    if accounts.ndim != 2 or candidates.ndim != 2 or len(accounts) != len(candidates) or len(accounts) < 3:
        raise ValueError(
            f"accounts, candidates: expected (N, K), (N, L), N >= 3, got {accounts.shape}, {candidates.shape}"
        )
    if not 0 < ridge < np.inf:
        raise ValueError(f"ridge: expected a positive number, got {ridge}")
    generator, n = np.random.default_rng(seed), len(accounts)
    x, y = standardised(accounts), standardised(candidates)
    rows = np.tile(np.arange(n), 1 + others)
    shifted = [(np.arange(n) + generator.integers(1, n)) % n for _ in range(others)]
    columns = np.concatenate([np.arange(n), *shifted])
    same = np.repeat([1.0, 0.0], [n, others * n])
    left, right = x[rows], y[columns]
    products = (left[:, :, None] * right[:, None]).reshape(len(rows), -1)
    inputs = np.concatenate([np.ones((len(rows), 1)), _squares(left), _squares(right), products], 1)
    return PairClassifier(weights=_logistic(inputs, same, ridge))


def _logistic(inputs: Rows, wanted: Rows, ridge: float) -> Rows:
    """Newton's method; the first input is the constant, and is not penalised."""
    weights = np.zeros(inputs.shape[1])
    penalty = ridge * np.eye(len(weights))
    penalty[0, 0] = 0
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-(inputs @ weights).clip(-30, 30)))
        slope = inputs.T @ (chance - wanted) + penalty @ weights
        curvature = (inputs * (chance * (1 - chance))[:, None]).T @ inputs + penalty + 1e-9 * np.eye(len(weights))
        step = np.linalg.solve(curvature, slope)
        weights = weights - step
        if float(np.abs(step).max()) < 1e-8:
            break
    return weights


def _squares(rows: Rows) -> Rows:
    return np.concatenate([rows, rows**2], 1)

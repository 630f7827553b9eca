"""Simultaneous inference: many attempts of an adversary on the same people, judged together.

Whoever tries many recognisers, purifiers and thresholds, and reports the worst, has two errors to answer for. The worst
of many looks like a finding where there is none, so its p value has to be that of the whole family. And the worst cell
of many is not what the adversary gets: a person found in any cell is found, so the union of all cells stands beside it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facemin.metrics.intervals import Interval, wilson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import ArrayLike, NDArray


class Union(NamedTuple):
    """Who was accepted in at least one of several cells, beside the cell that accepted most.

    Attributes:
        cells: number of cells.
        worst: place of the cell that accepted most people, the first of several.
        worst_hits: people accepted there.
        hits: people accepted in at least one cell.
        n: people.
        share: hits / n.
        interval: Wilson's, of the share.
    """

    cells: int
    worst: int
    worst_hits: int
    hits: int
    n: int
    share: float
    interval: Interval


class Family(NamedTuple):
    """What many attempts on the same people say together, each p corrected for all of them.

    Attributes:
        hits: (C,) people accepted in each cell.
        p: (C,) single-step adjusted p of each cell; the smallest is that of the whole family.
        union: people accepted in at least one cell.
        union_expected: the same where the gallery's people are permuted, on average: what chance gives.
        union_p: one-sided p of the union.
    """

    hits: NDArray[np.int64]
    p: NDArray[np.float64]
    union: int
    union_expected: float
    union_p: float


def union(accepted: ArrayLike, *, confidence: float = 0.95) -> Union:
    """People accepted in any cell.

    Args:
        accepted: (C, N) bool, one row a cell and one column a person, C and N at least 1.
        confidence: coverage of the interval, a fraction in (0, 1).

    Raises:
        ValueError: flags of another shape or kind, or none.
    """
    flags = np.asarray(accepted)
    if flags.ndim != 2 or 0 in flags.shape or flags.dtype != np.bool_:
        raise ValueError(f"accepted: expected flags (C, N), both at least 1, got {flags.dtype} {flags.shape}")
    each, hits, n = flags.sum(1), int(flags.any(0).sum()), flags.shape[1]
    worst = int(each.argmax())
    return Union(len(flags), worst, int(each[worst]), hits, n, hits / n, wilson(hits, n, confidence=confidence))


def binomial_tail(hits: int, n: int, chance: float) -> float:
    """Probability of so many hits or more of n independent trials, each of probability `chance`.

    Raises:
        ValueError: hits or n out of range, or a chance outside [0, 1].
    """
    _check_hits(hits, n)
    if not 0 <= chance <= 1:
        raise ValueError(f"chance: expected a probability, got {chance}")
    return _tail((math.comb(n, k) * chance**k * (1 - chance) ** (n - k) for k in range(hits, n + 1)), hits)


def exceedance_tail(hits: int, n: int, *, admitted: int, impostors: int) -> float:
    """Probability of so many hits or more where the threshold itself was measured on few impostors.

    A threshold that admits k of M impostors has, for scores like theirs, a true false accept rate that is itself
    random: Beta(k + 1, M - k) for the number just above their (k + 1)-th largest. So hits of n further scores are
    beta-binomial, which spreads wider than the binomial of rate k / M: at k = 0 and M = n half of all audits have a
    hit. Exact for exchangeable scores; scores of pairs that share people are nearly so.

    Source: Wilks, Determination of sample sizes for setting tolerance limits, 1941; Gumbel and von Schelling, The
    distribution of the number of exceedances, 1950.

    Args:
        hits: scores that reach the threshold, 0..n.
        n: scores tried, at least 1.
        admitted: impostors that reach it as well (k), 0..impostors - 1.
        impostors: that the threshold was measured on (M), at least 1.

    Raises:
        ValueError: numbers out of range.
    """
    _check_hits(hits, n)
    if not 0 <= admitted < impostors:
        raise ValueError(f"admitted: expected 0..{impostors - 1} of {impostors} impostors, got {admitted}")
    a, b = admitted + 1, impostors - admitted
    whole = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) - math.lgamma(n + a + b)
    terms = (
        math.comb(n, k) * math.exp(whole + math.lgamma(k + a) + math.lgamma(n - k + b)) for k in range(hits, n + 1)
    )
    return _tail(terms, hits)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p values of a whole table: reject where one is at most the level wanted for all together.

    Source: Holm, A simple sequentially rejective multiple test procedure, 1979.

    Args:
        p_values: (N,), in [0, 1].

    Returns:
        (N,) float64 in the same order, each at least as large as it was.

    Raises:
        ValueError: numbers that are no probabilities.
    """
    values = np.asarray(p_values, np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"p_values: expected numbers in [0, 1], (N,), got {values.shape}")
    order = np.argsort(values, kind="stable")
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)), 1)
    return adjusted


def found(p_values: ArrayLike, *, level: float = 0.05) -> NDArray[np.bool_]:
    """Which cells found something, so that chance makes any of them do in at most a share `level` of all tables.

    Source: Holm 1979; see `holm`.

    Args:
        p_values: (C,), in [0, 1].
        level: of the whole table, a fraction in (0, 1).

    Raises:
        ValueError: numbers that are no probabilities, or a level out of range.
    """
    if not 0 < level < 1:
        raise ValueError(f"level: expected a fraction in (0, 1), got {level}")
    return holm(p_values) <= level


def family(scores: ArrayLike, thresholds: ArrayLike, *, draws: int = 999, seed: int = 0) -> Family:
    """Test many cells on the same people at once, whatever their dependence.

    Who is who in the gallery is permuted, in all cells alike. Under chance every permutation is as likely as the true
    one, so nothing has to be assumed of the recognisers, of the thresholds or of pairs that share people. The statistic
    is the largest standardised number of hits (hits less their mean under permutation, by the deviation there), which
    lets cells of different false accept rates stand beside each other.

    Source: Westfall and Young, Resampling-based multiple testing, 1993 (single-step maxT); Phipson and Smyth 2010.

    Args:
        scores: (C, N, N), probe by person, the diagonal mated; C >= 1, N >= 3.
        thresholds: (C,), at which each cell accepts.
        draws: permutations, at least 1.
        seed: of them.

    Raises:
        ValueError: scores or thresholds of another shape or not finite, or no draws.
    """
    matrices, at = np.asarray(scores, np.float64), np.asarray(thresholds, np.float64)
    n = matrices.shape[-1]
    if matrices.ndim != 3 or matrices.shape[1:] != (n, n) or n < 3 or not np.isfinite(matrices).all():
        raise ValueError(f"scores: expected finite numbers (C, N, N), N >= 3, got {matrices.shape}")
    if at.shape != matrices.shape[:1] or not len(at) or np.isnan(at).any() or draws < 1:
        raise ValueError(
            f"thresholds, draws: expected ({len(matrices)},) numbers and at least 1, got {at.shape}, {draws}"
        )
    accepted = matrices >= at[:, None, None]
    generator = np.random.default_rng(seed)
    own = np.arange(n)
    orders = np.stack([own, *(generator.permutation(n) for _ in range(draws))])
    flags = accepted[:, own, orders]  # (C, 1 + draws, N): whom each order has as the probe's person
    hits, unions = flags.sum(2), flags.any(0).sum(1)
    deviation = hits.std(1, keepdims=True)
    # a cell whose hits never change can find nothing
    standard = np.divide(hits - hits.mean(1, keepdims=True), deviation, out=np.zeros(hits.shape), where=deviation > 0)
    highest = standard[:, 1:].max(0)
    # sums of the same numbers in another order differ in their last bits
    p = (1 + (highest >= standard[:, :1] - 1e-9).sum(1)) / (draws + 1)
    union_p = (1 + int((unions[1:] >= unions[0]).sum())) / (draws + 1)
    return Family(hits[:, 0], p, int(unions[0]), float(unions[1:].mean()), union_p)


def _check_hits(hits: int, n: int) -> None:
    if n < 1 or not 0 <= hits <= n:
        raise ValueError(f"hits, n: expected 0 <= hits <= n and n >= 1, got {hits}, {n}")


def _tail(terms: Iterator[float], hits: int) -> float:
    return 1.0 if hits == 0 else min(1.0, math.fsum(terms))

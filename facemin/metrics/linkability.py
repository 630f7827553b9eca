"""Linkability: whether scores tell uploads of one person (mated) from uploads of two (non-mated)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from facemin.metrics.intervals import Interval, wilson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

Estimate = Literal["histogram", "kernel"]

_LARGEST_BINS = 100
_SCORES_A_BIN = 10
_GRID = 1000


class Area(NamedTuple):
    """Area under a receiver operating characteristic: P(mated > non-mated) + P(equal) / 2.

    Attributes:
        auc: in [0, 1]; 0.5 is chance.
        interval: around it.
        p: one-sided, that so large an area or a larger one comes of chance.
        n_mated: number of mated scores.
        n_non_mated: number of non-mated scores.
    """

    auc: float
    interval: Interval
    p: float
    n_mated: int
    n_non_mated: int


class RankShare(NamedTuple):
    """Share of probes whose own person is among the k best, beside chance, k of the people enrolled."""

    k: int
    share: float
    interval: Interval
    chance: float


@dataclass(frozen=True, kw_only=True)
class Linkage:
    """How well a linker finds N people, one probe each, in a gallery of the same N.

    Attributes:
        n: people.
        area: its interval is a bootstrap over people, its p a permutation of them.
        ranks: for each k asked for.
        d_sys: global unlinkability measure, 0 unlinkable, 1 fully linkable.
        d_sys_null: the 95th percentile of d_sys where the gallery's people are permuted: what chance alone gives.
        d_sys_p: one-sided permutation p of d_sys.
    """

    n: int
    area: Area
    ranks: tuple[RankShare, ...]
    d_sys: float
    d_sys_null: float
    d_sys_p: float


def d_sys(mated: ArrayLike, non_mated: ArrayLike, *, omega: float = 1.0, estimate: Estimate = "histogram") -> float:
    """Global measure of linkability: 0 where scores say nothing, 1 where each says it all.

    With LR(s) = p(s | mated) / p(s | non-mated): D(s) = 2 omega LR / (1 + omega LR) - 1 where omega LR > 1, else 0;
    D_sys is the mean of D over mated scores. Densities are estimated; the histogram has min(mated / 10, 100) bins of
    one width over the range of all scores, as the authors' own code, and its mean is the sum over bins (theirs
    is by trapezoids between the bins' centres, which leaves half of the outer bins out). The kernel is Gaussian with
    Silverman's bandwidth for each density, summed on 1000 points. Both see differences where there are none: compare
    with `linkage`'s permuted null, not with 0.

    Source: Gomez-Barrero, Galbally, Rathgeb and Busch, General framework to evaluate unlinkability in biometric
    template protection systems, 2017, equations 6 to 9; ISO/IEC 30136.

    Args:
        mated: (M,), M >= 2.
        non_mated: (K,), K >= 2.
        omega: ratio of the prior probabilities of mated and non-mated, positive.
        estimate: of the densities.

    Raises:
        ValueError: scores that are none, too few or not finite; omega not positive; an unknown estimate.
    """
    first, second = _scores("mated", mated, 2), _scores("non_mated", non_mated, 2)
    if not 0 < omega < math.inf:
        raise ValueError(f"omega: expected a positive number, got {omega}")
    if estimate not in ("histogram", "kernel"):
        raise ValueError(f"estimate: expected 'histogram' or 'kernel', got {estimate!r}")
    low, high = min(first.min(), second.min()), max(first.max(), second.max())
    if low == high:
        return 0.0
    if estimate == "histogram":
        edges = _edges(low, high, len(first))
        p, q = (np.histogram(scores, edges)[0] / len(scores) for scores in (first, second))
    else:
        p, q = _kernel(first, second)
    return float(_local_mean(p, q, omega=omega))


def auc(mated: ArrayLike, non_mated: ArrayLike, *, confidence: float = 0.95) -> Area:
    """Area under the curve of independent scores, with DeLong's interval; ties count half.

    The interval is on the scale of the logit, so that it stays in [0, 1]; where the variance is 0 (all apart, or too
    few scores) it is Wilson's for the fewer of the scores. Scores that share people are not independent: use `linkage`.
    p is Mann and Whitney's, with the variance under chance, ties included.

    Source: DeLong, DeLong and Clarke-Pearson, Comparing the areas under two or more correlated receiver operating
    characteristic curves, 1988; Mann and Whitney 1947.

    Args:
        mated: (M,), M >= 2.
        non_mated: (K,), K >= 2.
        confidence: coverage, a fraction in (0, 1).

    Raises:
        ValueError: scores that are none, too few or not finite; confidence out of range.
    """
    first, second = _scores("mated", mated, 2), _scores("non_mated", non_mated, 2)
    m, k = len(first), len(second)
    # of each score the share of the other kind that it beats
    mated_places, non_mated_places = _places(first, second), 1 - _places(second, first)
    area = float(mated_places.mean())
    variance = float(mated_places.var(ddof=1) / m + non_mated_places.var(ddof=1) / k)
    ties = np.unique(np.concatenate([first, second]), return_counts=True)[1].astype(np.float64)
    total = m + k
    null = (total + 1 - float((ties**3 - ties).sum()) / (total * (total - 1))) / (12 * m * k)
    p = 1.0 if null <= 0 else 1 - NormalDist().cdf((area - 0.5) / math.sqrt(null))
    fewer = min(m, k)
    if variance == 0 or area in (0.0, 1.0):
        return Area(area, wilson(round(area * fewer), fewer, confidence=confidence), p, m, k)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: expected a fraction in (0, 1), got {confidence}")
    logit = math.log(area / (1 - area))
    half = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(variance) / (area * (1 - area))
    low, high = (1 / (1 + math.exp(-value)) for value in (logit - half, logit + half))
    return Area(area, Interval(low, high), p, m, k)


def linkage(
    scores: ArrayLike,
    *,
    ks: Sequence[int] = (1, 10),
    samples: int = 1000,
    draws: int = 999,
    confidence: float = 0.95,
    seed: int = 0,
) -> Linkage:
    """All measures of a linker from its scores of N probes against the N people they are of.

    The diagonal is mated, everything else non-mated. Ranks count ties against the linker. The area's interval draws
    people with replacement (a pair counts as often as both draws combine); both p permute who is who in the gallery.

    Source: Phipson and Smyth 2010 for the permutation p; Bolle et al. 1999 for the bootstrap; else as `auc`, `d_sys`.

    Args:
        scores: (N, N), probe by person, higher is more alike; N >= 3.
        ks: ranks, each in 1..N.
        samples: of the bootstrap, at least 1.
        draws: of the permutation, at least 1.
        confidence: coverage, a fraction in (0, 1).
        seed: of all draws.

    Raises:
        ValueError: scores that are not (N, N) and finite; numbers out of range.
    """
    matrix = np.asarray(scores, np.float64)
    n = len(matrix)
    if matrix.ndim != 2 or matrix.shape != (n, n) or n < 3 or not np.isfinite(matrix).all():
        raise ValueError(f"scores: expected finite numbers (N, N), N >= 3, got {matrix.shape}")
    if samples < 1 or draws < 1 or not 0 < confidence < 1 or not all(1 <= k <= n for k in ks):
        raise ValueError(
            f"samples, draws, confidence, ks: expected at least 1, at least 1, a fraction and ranks in 1..{n}, "
            f"got {samples}, {draws}, {confidence}, {list(ks)}"
        )
    generator = np.random.default_rng(seed)
    off = ~np.eye(n, dtype=bool)
    orders = np.stack([np.arange(n), *(generator.permutation(n) for _ in range(draws))])
    areas, linkabilities = _permuted(matrix, orders)
    p_area, p_unlinkability = (
        (1 + int((values[1:] >= values[0]).sum())) / (draws + 1) for values in (areas, linkabilities)
    )
    tail = (1 - confidence) / 2
    low, high = np.quantile(_resampled(matrix, off, samples, generator), [tail, 1 - tail])
    places = 1 + ((matrix >= np.diag(matrix)[:, None]) & off).sum(1)
    hits = [int((places <= k).sum()) for k in ks]
    return Linkage(
        n=n,
        area=Area(float(areas[0]), Interval(float(low), float(high)), p_area, n, n * (n - 1)),
        ranks=tuple(
            RankShare(k, hit / n, wilson(hit, n, confidence=confidence), k / n) for k, hit in zip(ks, hits, strict=True)
        ),
        d_sys=float(linkabilities[0]),
        d_sys_null=float(np.quantile(linkabilities[1:], 0.95)),
        d_sys_p=p_unlinkability,
    )


def _permuted(
    matrix: NDArray[np.float64], orders: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Area and D_sys for each order of the gallery's people, (K, N) to (K,) each.

    An order moves scores between mated and non-mated, so that one ranking and one histogram of all serve for each.
    """
    n = len(matrix)
    rows, others = np.arange(n), n * (n - 1)
    _, value, counts = np.unique(matrix, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[value].reshape(n, n)
    areas = (ranks[rows, orders].sum(1) - n * (n + 1) / 2) / (n * others)
    if len(counts) == 1:
        return areas, np.zeros(len(orders))
    edges = _edges(matrix.min(), matrix.max(), n)
    bins = len(edges) - 1
    place = np.clip(np.searchsorted(edges, matrix, "right") - 1, 0, bins - 1)
    own = place[rows, orders] + bins * np.arange(len(orders))[:, None]
    mated = np.bincount(own.ravel(), minlength=bins * len(orders)).reshape(len(orders), bins)
    p, q = mated / n, (np.bincount(place.ravel(), minlength=bins) - mated) / others
    return areas, _local_mean(p, q)


def _edges(low: float, high: float, mated: int) -> NDArray[np.float64]:
    """Of the histogram's bins."""
    return np.linspace(low, high, max(2, min(mated // _SCORES_A_BIN, _LARGEST_BINS)) + 1)


def _local_mean(p: NDArray[np.float64], q: NDArray[np.float64], *, omega: float = 1.0) -> NDArray[np.float64]:
    """Mean of D over mated scores, along the last axis, of densities up to one factor."""
    # omega LR = omega p / q; D = (omega p - q) / (omega p + q) where that is positive, q = 0 included
    with np.errstate(invalid="ignore"):
        local = np.where(omega * p > q, (omega * p - q) / (omega * p + q), 0.0)
    return np.asarray((p * local).sum(-1) / p.sum(-1))


def _resampled(
    matrix: NDArray[np.float64], off: NDArray[np.bool_], samples: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Areas where people are drawn again: mated scores weigh w_i, non-mated ones w_i w_j."""
    n = len(matrix)
    values, group = np.unique(matrix, return_inverse=True)
    group = group.reshape(n, n)
    non_mated_group, mated_group = group[off], np.diag(group)
    areas: list[float] = []
    while len(areas) < samples:
        weights = np.bincount(generator.integers(n, size=n), minlength=n).astype(np.float64)
        pairs = np.outer(weights, weights)[off]
        if pairs.sum() == 0:
            continue  # one person n times over: nobody to take them for
        mass = np.bincount(non_mated_group, pairs, len(values))
        beaten = np.cumsum(mass) - mass / 2
        areas.append(float(weights @ beaten[mated_group] / (weights.sum() * mass.sum())))
    return np.array(areas)


def _places(scores: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each score the share of the others below it, equal ones counting half."""
    ordered = np.sort(others)
    return (np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")) / (2 * len(ordered))


def _kernel(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Densities of both at the same points, each up to one factor, which cancels."""
    widths = [_bandwidth(scores) for scores in (first, second)]
    reach = 3 * max(widths)
    both = np.concatenate([first, second])
    points = np.linspace(both.min() - reach, both.max() + reach, _GRID)
    p, q = (
        np.exp(-0.5 * ((points[:, None] - scores) / width) ** 2).mean(1) / width
        for scores, width in zip((first, second), widths, strict=True)
    )
    return p, q


def _bandwidth(scores: NDArray[np.float64]) -> float:
    """Silverman's rule of thumb, 0.9 min(deviation, interquartile range / 1.34) n^(-1/5)."""
    spread = float(np.subtract(*np.quantile(scores, [0.75, 0.25]))) / 1.34
    deviation = float(scores.std(ddof=1))
    scale = min(spread, deviation) or deviation
    if scale == 0:
        raise ValueError("estimate: expected scores that differ for a kernel, got all alike; take 'histogram'")
    return float(0.9 * scale * len(scores) ** -0.2)


def _scores(name: str, scores: ArrayLike, least: int) -> NDArray[np.float64]:
    values = np.asarray(scores, np.float64)
    if values.ndim != 1 or len(values) < least or not np.isfinite(values).all():
        raise ValueError(f"{name}: expected at least {least} finite scores (N,), got {values.shape}")
    return values

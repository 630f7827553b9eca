"""Intervals: how far a share or a statistic may be from what was measured on so few people."""

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import NamedTuple

import torch
from torch import Tensor


class Interval(NamedTuple):
    """A two-sided confidence interval, low <= high."""

    low: float
    high: float


def wilson(successes: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a binomial share; for independent trials, also few of them or all alike.

    Source: Wilson, Probable inference, the law of succession, and statistical inference, 1927.

    Args:
        successes: number of successes, 0..n.
        n: number of trials, at least 1.
        confidence: coverage, a fraction in (0, 1).

    Raises:
        ValueError: an argument is outside its range.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"successes, n: expected 0 <= successes <= n and n >= 1, got {successes}, {n}")
    _check_confidence(confidence)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # At the ends the bound is 0 or 1 exactly; only rounding says otherwise.
    low = 0.0 if successes == 0 else (centre - half) / scale
    high = 1.0 if successes == n else (centre + half) / scale
    return Interval(low, high)


DRAWN_AT_ONCE = 1 << 20
"""Numbers held while bootstrap samples are drawn; 8 MiB each."""


def identity_bootstrap(
    statistic: Callable[[Tensor], float],
    identities: Tensor,
    *,
    samples: int = 1000,
    confidence: float = 0.95,
    generator: torch.Generator,
) -> Interval:
    """Percentile interval of a statistic when the identities, not the pairs, are drawn again.

    Pairs that share a person are not independent, so people are resampled with replacement. A sample (a row)
    of one identity is taken as often as that identity was drawn; a pair of two identities as often as both
    draws combine (the product), a pair of one and the same as often as that one was drawn.
    Samples that hold no row at all, or whose statistic is NaN, are left out.
    Source: Efron and Tibshirani, An introduction to the bootstrap, 1993, section 13.3; Bolle et al.,
    Evaluating authentication systems using bootstrap confidence intervals, 1999 (subsets, not pairs).

    Args:
        statistic: called with the drawn rows, (R,) int64 indices with repeats; returns a number.
        identities: (N,) integers, one per row, or (N, 2), the two people of a pair.
        samples: number of bootstrap samples, at least 1; a thousand for a 95 % interval.
        confidence: coverage, a fraction in (0, 1).
        generator: source of the draws, on the CPU.

    Raises:
        ValueError: an argument is outside its range or shape, or no sample gave a number.
    """
    values = [
        statistic(torch.arange(len(weights)).repeat_interleave(weights))
        for some in _weights(identities, samples, confidence, generator)
        for weights in some
    ]
    return _percentiles(torch.tensor(values, dtype=torch.float64), confidence)


def identity_bootstrap_mean(
    values: Tensor,
    identities: Tensor,
    *,
    samples: int = 1000,
    confidence: float = 0.95,
    generator: torch.Generator,
) -> Interval:
    """identity_bootstrap of the mean of values, (N,), fast: same draws, but no row is ever copied.

    For a TAR pass the accepted flags; for an accuracy the correct ones. Arguments as identity_bootstrap.

    Raises:
        ValueError: values are not (N,) and finite; else as identity_bootstrap.
    """
    if values.shape != identities.shape[:1] or values.is_complex():
        raise ValueError(f"values: expected ({len(identities)},) numbers, got {tuple(values.shape)}")
    wide = values.detach().cpu().double()
    if not bool(wide.isfinite().all()):
        raise ValueError("values: expected finite numbers, got others")
    means = [some.double() @ wide / some.sum(1) for some in _weights(identities, samples, confidence, generator)]
    return _percentiles(torch.cat(means), confidence)


def _weights(identities: Tensor, samples: int, confidence: float, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield how often each row is in a bootstrap sample: (S, N) int64, S samples at a time, none of them empty."""
    shape = tuple(identities.shape)
    if not (identities.ndim == 1 or shape[1:] == (2,)) or identities.numel() == 0:
        raise ValueError(f"identities: expected (N,) or (N, 2) with N >= 1, got {shape}")
    if identities.is_floating_point() or identities.is_complex():
        raise ValueError(f"identities: expected integers, got {identities.dtype}")
    if samples < 1:
        raise ValueError(f"samples: expected at least 1, got {samples}")
    _check_confidence(confidence)
    people, number = torch.unique(identities.cpu(), return_inverse=True)
    first, second = (number, number) if number.ndim == 1 else (number[:, 0], number[:, 1])
    alone = first == second
    count = len(people)
    at_once = max(1, DRAWN_AT_ONCE // max(count, len(number)))
    for start in range(0, samples, at_once):
        size = min(at_once, samples - start)
        # one row after another, as if each sample were drawn by itself
        drawn = torch.randint(count, (size, count), generator=generator)
        times = torch.zeros_like(drawn).scatter_add_(1, drawn, torch.ones_like(drawn))
        weights = torch.where(alone, times[:, first], times[:, first] * times[:, second])
        yield weights[weights.sum(1) > 0]


def _percentiles(values: Tensor, confidence: float) -> Interval:
    values = values[~values.isnan()]
    if values.numel() == 0:
        raise ValueError("identities: no bootstrap sample gave a number; are there too few people?")
    tail = (1 - confidence) / 2
    low, high = values.quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return Interval(low, high)


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: expected a fraction in (0, 1), got {confidence}")

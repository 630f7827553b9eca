"""Means over a few runs, with Student's interval."""

from __future__ import annotations

import math
from statistics import fmean, stdev
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

_STEPS = 60
"""Halvings of an angle in (0, pi / 2): what is left is below a double's precision."""


class OverRuns(NamedTuple):
    """A mean and its interval; NaN where one run tells nothing of the spread."""

    value: float
    low: float
    high: float
    n: int


def over_runs(values: Sequence[float], *, coverage: float = 0.95) -> OverRuns:
    """The mean of runs that differ by their seed alone.

    Args:
        values: one a run.
        coverage: of the interval, in (0, 1).

    Raises:
        ValueError: no values, or a coverage out of range.
    """
    if not values:
        raise ValueError("values: expected at least one run, got none")
    mean, n = fmean(values), len(values)
    if n == 1:
        return OverRuns(mean, math.nan, math.nan, 1)
    half = student_quantile(coverage, n - 1) * stdev(values) / math.sqrt(n)
    return OverRuns(mean, mean - half, mean + half, n)


def student_quantile(coverage: float, degrees: int) -> float:
    """Where Student's t of some degrees of freedom lies within plus and minus with a probability.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.

    Args:
        coverage: in (0, 1).
        degrees: at least 1.

    Raises:
        ValueError: one of them is out of range.
    """
    if not 0 < coverage < 1 or degrees < 1:
        raise ValueError(
            f"expected a coverage in (0, 1) and at least 1 degree of freedom, got {coverage} and {degrees}"
        )
    low, high = 0.0, math.pi / 2
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, degrees) < coverage else (low, middle)
    return math.sqrt(degrees) * math.tan((low + high) / 2)


def _within(angle: float, degrees: int) -> float:
    """P(|t| <= sqrt(degrees) tan(angle))."""
    sine, cosine = math.sin(angle), math.cos(angle)
    term = cosine if degrees % 2 else 1.0
    total = term if degrees > 1 else 0.0
    for factor in range(1 + degrees % 2, degrees - 1, 2):
        term *= factor / (factor + 1) * cosine**2
        total += term
    return 2 / math.pi * (angle + sine * total) if degrees % 2 else sine * total

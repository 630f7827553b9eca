"""Sample size: bounds on a rate from a count, and the number of further trials that would settle it.

A zero of few images says little: Wilson's 95 % interval of 0 of 10 reaches 0.28. So nothing is called bounded unless
the interval's upper end is.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from facemin.metrics import binomial_tail, wilson

BOUND = 0.05
"""A row counts as bounded when the upper end of the 95 % interval says: at most one person of twenty."""

CHANCE = 0.05
"""Hits that chance alone gives so often, in any of the cells tried, are no finding."""

Outcome = Literal["leak", "bounded", "cannot tell", "look", "not tested"]
"""What an audit says of a row; "look" where no number decides."""

WORDS: dict[Outcome, str] = {
    "leak": "It got something",
    "bounded": "Bounded",
    "cannot tell": "Cannot tell yet",
    "look": "Look for yourself",
    "not tested": "Not tested",
}


class RateClass(NamedTuple):
    """What hits of n trials say.

    Attributes:
        outcome: "leak", "bounded" or "cannot tell".
        more: how many further trials, all of them misses, would settle it as bounded; 0 where it is settled.
    """

    outcome: Outcome
    more: int


def classify_rate(
    hits: int, n: int, *, bound: float = BOUND, chance: float = 0.0, p: float | None = None, cells: int = 1
) -> RateClass:
    """Judge the worst of some cells.

    Args:
        hits: successes of the adversary.
        n: trials, at least 1.
        bound: share of successes that is asked about, in (0, 1).
        chance: probability of a hit that means nothing (a false accept rate).
        p: probability of so many hits or more by chance; that of `n` independent trials at `chance` when None.
        cells: of how many the worst was taken; p is corrected for them (Bonferroni).

    Raises:
        ValueError: hits or n out of range.
    """
    low, high = wilson(hits, n)
    if high <= bound:
        return RateClass("bounded", 0)
    if low > bound and cells * (binomial_tail(hits, n, chance) if p is None else p) < CHANCE:
        return RateClass("leak", 0)
    return RateClass("cannot tell", further(hits, n, bound=bound))


def further(hits: int, n: int, *, bound: float = BOUND) -> int:
    """How many more trials, all of them misses, bring the upper end of Wilson's 95 % interval down to the bound."""
    low, high = 0, 1
    while wilson(hits, n + high).high > bound:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if wilson(hits, n + middle).high <= bound else (middle, high)
    return high


def strongest(outcomes: list[Outcome]) -> Outcome:
    """What holds of several findings together: one leak is a leak, and one that cannot tell leaves it open."""
    for outcome in ("leak", "cannot tell", "bounded", "look"):
        if outcome in outcomes:
            return outcome
    return "not tested"

"""Focal diversity: which recognisers make a team whose members fail on different faces.

Source: Wu, Liu, Xie, Chow and Wei, Boosting ensemble accuracy by revisiting ensemble diversity metrics, 2021 (samples
that the focal member fails on, teams of one size compared); Partridge and Krzanowski, Software diversity, 1997 (the
generalised diversity 1 - p(2) / p(1)). P3-Mask's team is chosen so.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


class RatedTeam(NamedTuple):
    """A team and its focal diversity in [0, 1]; higher is better."""

    names: tuple[str, ...]
    diversity: float


def focal_diversity(failures: NDArray[np.bool_]) -> float:
    """Mean over the members of the generalised diversity of the team on what that member fails on.

    Of N members let p_n be the share of a focal member's failures on which exactly n fail. Then p(1) is the chance that
    a member drawn at random fails, p(2) that two different ones both do, and the diversity is 1 - p(2) / p(1): 1 where
    no other member ever fails with it, 0 where all do.

    Args:
        failures: (N, S), N >= 2: which member fails on which sample.

    Returns:
        A number in [0, 1]; NaN where no member fails on anything.

    Raises:
        ValueError: another shape or type.
    """
    if failures.dtype != np.bool_ or failures.ndim != 2 or len(failures) < 2:
        raise ValueError(f"failures: expected bool (N, S) with N >= 2, got {failures.dtype} {failures.shape}")
    members = len(failures)
    found = []
    for focal in failures:
        together = failures[:, focal].sum(0)
        if not len(together):
            continue
        one = (together / members).mean()
        two = (together * (together - 1) / (members * (members - 1))).mean()
        found.append(1 - two / one)
    return float(np.mean(found)) if found else float("nan")


def rate_teams(failures: Mapping[str, NDArray[np.bool_]], size: int) -> list[RatedTeam]:
    """All teams of a size, the most diverse first; those that never fail come last.

    Args:
        failures: by recogniser, (S,), the same samples in the same order.
        size: of a team, at least 2.

    Raises:
        ValueError: a size out of range.
    """
    if not 2 <= size <= len(failures):
        raise ValueError(f"size: expected 2 to {len(failures)} of the recognisers, got {size}")
    teams = [
        RatedTeam(names, focal_diversity(np.stack([failures[name] for name in names])))
        for names in combinations(sorted(failures), size)
    ]
    return sorted(teams, key=lambda team: -team.diversity if team.diversity == team.diversity else np.inf)

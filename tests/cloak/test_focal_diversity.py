"""Focal diversity against its definition, worked by hand."""

import math

import numpy as np
import pytest

from facemin.cloak.focal_diversity import focal_diversity, rate_teams

ALIKE = np.array([[1, 1, 0, 0]] * 3, bool)
APART = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], bool)


def test_members_that_fail_together_are_not_diverse_and_those_that_fail_apart_are() -> None:
    assert focal_diversity(ALIKE) == pytest.approx(0)
    assert focal_diversity(APART) == pytest.approx(1)


def test_by_hand() -> None:
    # the first fails on 0 and 1, the second on 0: on the first's failures 2 and 1 of 2 fail, on the second's 2
    failures = np.array([[1, 1, 0], [1, 0, 0]], bool)
    first = 1 - (0.5 * 1) / (0.5 * 1 + 0.5 * 0.5)
    assert focal_diversity(failures) == pytest.approx((first + 0) / 2)


def test_teams_in_order_and_those_without_failures_last() -> None:
    rated = rate_teams({"a": ALIKE[0], "b": ALIKE[0], "c": APART[2], "d": ~ALIKE[0] & False}, 2)
    assert rated[0].diversity == 1
    assert {"a", "b"} in [set(team.names) for team in rated if team.diversity == 0]
    assert len(rated) == 6
    assert math.isnan(focal_diversity(np.zeros((2, 5), bool)))
    assert math.isnan(rate_teams({"a": np.zeros(3, bool), "b": np.zeros(3, bool)}, 2)[0].diversity)


@pytest.mark.parametrize("wrong", [np.zeros((1, 4), bool), np.zeros((2, 4)), np.zeros(4, bool)])
def test_refuses_other_shapes(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="failures"):
        focal_diversity(wrong)
    with pytest.raises(ValueError, match="size"):
        rate_teams({"a": ALIKE[0]}, 2)

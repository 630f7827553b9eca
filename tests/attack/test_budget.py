"""Time, told by a clock of our own."""

import math

import pytest

from facemin.audit import Budget


def test_time_runs_out() -> None:
    now = [100.0]
    budget = Budget(seconds=10, clock=lambda: now[0])
    assert (budget.left, budget.spent, budget.over) == (10, 0, False)
    now[0] = 104
    half = budget.part(0.5)
    assert half.seconds == 3
    now[0] = 107
    assert half.over
    assert budget.left == 3
    now[0] = 200
    assert budget.over
    assert budget.left == 0
    assert budget.part(1).seconds == 0


def test_refuses_what_is_no_time() -> None:
    for seconds in (-1, math.nan):
        with pytest.raises(ValueError, match="seconds: expected a number of 0 or more"):
            Budget(seconds=seconds)

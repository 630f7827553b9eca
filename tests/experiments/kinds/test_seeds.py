"""Means over runs: Student's quantiles as another library has them, and the interval by hand."""

import math

import pytest
from scipy.stats import t

from facemin.experiments.kinds.seeds import over_runs, student_quantile


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 10, 29])
@pytest.mark.parametrize("coverage", [0.5, 0.95, 0.999])
def test_quantiles_are_students(degrees: int, coverage: float) -> None:
    assert student_quantile(coverage, degrees) == pytest.approx(t.ppf((1 + coverage) / 2, degrees), rel=1e-9)


def test_three_runs_by_hand() -> None:
    found = over_runs([1.0, 2.0, 3.0])
    half = 4.302652729749464 / math.sqrt(3)
    assert found == pytest.approx((2.0, 2.0 - half, 2.0 + half, 3))


def test_an_interval_has_the_coverage_asked_for() -> None:
    half = t.ppf(0.9875, 2) / math.sqrt(3)
    assert over_runs([1.0, 2.0, 3.0], coverage=0.975) == pytest.approx((2.0, 2.0 - half, 2.0 + half, 3))


def test_one_run_has_no_interval_and_none_is_refused() -> None:
    assert over_runs([0.5]).value == 0.5
    assert math.isnan(over_runs([0.5]).low)
    with pytest.raises(ValueError, match="expected at least one run"):
        over_runs([])


@pytest.mark.parametrize(("coverage", "degrees"), [(0.0, 3), (1.0, 3), (0.95, 0)])
def test_what_has_no_quantile_is_refused(coverage: float, degrees: int) -> None:
    with pytest.raises(ValueError, match="expected a coverage"):
        student_quantile(coverage, degrees)

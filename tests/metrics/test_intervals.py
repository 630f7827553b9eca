"""Intervals: by hand, against SciPy, and the bootstrap against what it must do."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from facemin.metrics import Interval, identity_bootstrap, identity_bootstrap_mean, wilson


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_wilson_by_hand() -> None:
    # z = 1 (68.27 %), 1 of 2: centre 1/2, half-width sqrt(1/8 + 1/16) / 1.5.
    low, high = wilson(1, 2, confidence=math.erf(1 / math.sqrt(2)))
    half = math.sqrt(3 / 16) / 1.5
    assert (low, high) == pytest.approx((0.5 - half, 0.5 + half))


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
@settings(deadline=None)
def test_wilson_agrees_with_scipy(counts: tuple[int, int], confidence: float) -> None:
    expected = binomtest(*counts).proportion_ci(confidence, method="wilson")
    assert wilson(*counts, confidence=confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_wilson_ends_are_exact() -> None:
    assert wilson(0, 10).low == 0
    assert wilson(10, 10).high == 1


def test_mean_and_general_bootstrap_draw_the_same() -> None:
    values = torch.rand(30, generator=generator(), dtype=torch.float64)
    for identities in (
        torch.arange(30) % 7,
        torch.stack([torch.arange(30) % 7, torch.arange(30) % 5], dim=1),
    ):
        fast = identity_bootstrap_mean(values, identities, samples=50, generator=generator(1))
        slow = identity_bootstrap(
            lambda rows: float(values[rows].mean()), identities, samples=50, generator=generator(1)
        )
        assert fast == pytest.approx(slow)


def test_one_row_per_identity_is_the_ordinary_bootstrap() -> None:
    """For many independent rows the interval is the normal one of the mean."""
    values = torch.randn(400, generator=generator(2), dtype=torch.float64)
    low, high = identity_bootstrap_mean(values, torch.arange(400), samples=4000, generator=generator(3))
    half = 1.96 * float(values.std()) / 20
    assert (low, high) == pytest.approx((float(values.mean()) - half, float(values.mean()) + half), abs=0.01)


def test_rows_of_one_identity_are_not_independent() -> None:
    """Twenty copies of each row add no knowledge: the interval stays as wide as with one."""
    values = torch.randn(40, generator=generator(4), dtype=torch.float64)
    one = identity_bootstrap_mean(values, torch.arange(40), samples=500, generator=generator(5))
    copies = identity_bootstrap_mean(
        values.repeat(20), torch.arange(40).repeat(20), samples=500, generator=generator(5)
    )
    assert copies == pytest.approx(one)


def test_a_pair_of_two_people_counts_as_often_as_both_draws_combine() -> None:
    seen: list[list[int]] = []
    pairs = torch.tensor([[0, 0], [0, 1], [1, 2]])

    def record(rows: torch.Tensor) -> float:
        seen.append(torch.bincount(rows, minlength=3).tolist())
        return 0.0

    identity_bootstrap(record, pairs, samples=200, generator=generator(6))
    # Three draws make (times0, times1, times2); row counts are times0, times0 * times1, times1 * times2.
    possible = {(a, a * b, b * c) for a in range(4) for b in range(4) for c in range(4) if a + b + c == 3} - {(0, 0, 0)}
    assert {tuple(counts) for counts in seen} == possible


def test_one_identity_gives_a_point() -> None:
    assert identity_bootstrap_mean(torch.tensor([0.0, 1.0]), torch.tensor([3, 3]), generator=generator()) == Interval(
        0.5, 0.5
    )


def test_bad_input_is_named() -> None:
    ones, people = torch.ones(3), torch.arange(3)
    for successes, n in ((-1, 5), (6, 5), (0, 0)):
        with pytest.raises(ValueError, match="successes, n"):
            wilson(successes, n)
    with pytest.raises(ValueError, match="confidence"):
        wilson(1, 2, confidence=95)
    with pytest.raises(ValueError, match="values: expected \\(3,\\)"):
        identity_bootstrap_mean(torch.ones(2), people, generator=generator())
    with pytest.raises(ValueError, match="values: expected finite"):
        identity_bootstrap_mean(ones * math.nan, people, generator=generator())
    with pytest.raises(ValueError, match="identities: expected integers"):
        identity_bootstrap_mean(ones, people.float(), generator=generator())
    with pytest.raises(ValueError, match="identities: expected"):
        identity_bootstrap_mean(ones, torch.ones(3, 3, dtype=torch.long), generator=generator())
    with pytest.raises(ValueError, match="samples"):
        identity_bootstrap_mean(ones, people, samples=0, generator=generator())
    with pytest.raises(ValueError, match="no bootstrap sample gave a number"):
        identity_bootstrap(lambda rows: math.nan, people, samples=5, generator=generator())

"""The stranger's score by hand, against SciPy, and against drawn rotations."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betainc, betaincinv
from scipy.stats import binomtest

from facemin.pseudonym import (
    Pseudonym,
    haar,
    identification_threshold,
    stranger_far,
    stranger_threshold,
)
from facemin.pseudonym.stranger import regularised_incomplete_beta
from tests.pseudonym.conftest import a_context, a_secret


def test_two_dimensions_by_hand() -> None:
    # on the circle the angle is uniform: P(cos > 1/2) = (pi / 3) / pi
    assert stranger_far(0.5, 2) == pytest.approx(1 / 3, rel=1e-12)
    assert stranger_far(-0.5, 2) == pytest.approx(2 / 3, rel=1e-12)


def test_three_dimensions_by_hand() -> None:
    # Archimedes: a coordinate of the sphere is uniform on [-1, 1]
    for cosine in (-1.0, -0.3, 0.0, 0.2, 0.999, 1.0):
        assert stranger_far(cosine, 3) == pytest.approx((1 - cosine) / 2, rel=1e-9)


def test_figures_of_the_design() -> None:
    assert stranger_far(0.41, 64) == pytest.approx(3.5e-4, rel=0.02)
    assert stranger_far(0.57, 64) == pytest.approx(3.6e-7, rel=0.02)
    assert stranger_far(0.41, 128) == pytest.approx(7e-7, rel=0.02)


@given(st.floats(0.3, 600), st.floats(0.3, 600), st.floats(0, 1))
@settings(deadline=None, max_examples=300)
def test_the_beta_function_agrees_with_scipy(a: float, b: float, x: float) -> None:
    expected = float(betainc(a, b, x))
    assert regularised_incomplete_beta(a, b, x) == pytest.approx(expected, rel=1e-10, abs=1e-13)


@given(st.sampled_from([2, 3, 64, 128, 1024]), st.floats(-0.5, 0.5))
@settings(deadline=None, max_examples=100)
def test_the_middle_keeps_its_digits(dimension: int, cosine: float) -> None:
    within = float(betainc(0.5, (dimension - 1) / 2, cosine * cosine))
    assert stranger_far(cosine, dimension) == pytest.approx((1 - math.copysign(within, cosine)) / 2, abs=1e-12)


@given(st.sampled_from([2, 3, 64, 72, 128, 512, 1024]), st.floats(0.2, 1 - 1e-9))
@settings(deadline=None, max_examples=200)
def test_tails_keep_their_digits(dimension: int, cosine: float) -> None:
    expected = float(betainc((dimension - 1) / 2, 0.5, (1 - cosine) * (1 + cosine))) / 2
    assert stranger_far(cosine, dimension) == pytest.approx(expected, rel=1e-10, abs=1e-290)


@given(st.sampled_from([2, 3, 64, 128, 512]), st.floats(-40, -0.31))
@settings(deadline=None, max_examples=60)
def test_thresholds_are_the_inverse(dimension: int, exponent: float) -> None:
    far = 10**exponent
    threshold = stranger_threshold(far, dimension)
    assert stranger_far(threshold, dimension) <= far
    assert threshold == pytest.approx(math.sqrt(1 - float(betaincinv((dimension - 1) / 2, 0.5, 2 * far))), abs=1e-7)
    below = max(-1.0, threshold - 1e-9)
    assert stranger_far(below, dimension) >= far * (1 - 1e-6)


def test_threshold_above_a_half() -> None:
    assert stranger_threshold(0.5, 64) == pytest.approx(0, abs=1e-12)
    assert stranger_threshold(2 / 3, 2) == pytest.approx(-0.5, abs=1e-12)


def test_identification_by_hand() -> None:
    pair = 1 - (1 - 0.01) ** (1 / 1000)
    assert identification_threshold(0.01, 1000, 64) == pytest.approx(stranger_threshold(pair, 64), abs=1e-9)
    assert identification_threshold(0.01, 1, 64) == pytest.approx(stranger_threshold(0.01, 64), abs=1e-12)
    # one in 10^8 pairs, as the design has it: a million templates at FPIR 1 %
    assert stranger_far(identification_threshold(0.01, 10**6, 64), 64) == pytest.approx(1.005e-8, rel=1e-3)


def test_drawn_rotations_follow_the_law() -> None:
    """Two photos of one person under different rotations score as strangers, at the rate the law says."""
    face = np.ones((1, 16))
    uploads = np.concatenate(
        [Pseudonym(secret=a_secret(f"{n}"), context=a_context(dimension=16)).targets(face) for n in range(300)]
    ).astype(np.float64)
    scores = (uploads @ uploads.T)[np.triu_indices(300, 1)]
    # pairs of uniform points are independent pair by pair, so that the count is binomial up to rounding
    for cosine in (0.0, 0.3, 0.6):
        found = int((scores > cosine).sum())
        assert binomtest(found, len(scores), stranger_far(cosine, 16)).pvalue > 1e-4
    assert haar(bytes(32), 16).shape == (16, 16)


@pytest.mark.parametrize(
    "call",
    [
        lambda: stranger_far(1.1, 64),
        lambda: stranger_far(math.nan, 64),
        lambda: stranger_far(0.5, 1),
        lambda: stranger_threshold(0, 64),
        lambda: stranger_threshold(1, 64),
        lambda: stranger_threshold(0.1, 1),
        lambda: identification_threshold(0.01, 0, 64),
        lambda: identification_threshold(1, 5, 64),
        lambda: regularised_incomplete_beta(0, 1, 0.5),
        lambda: regularised_incomplete_beta(1, math.inf, 0.5),
        lambda: regularised_incomplete_beta(1, 1, -0.1),
    ],
)
def test_arguments_out_of_range_are_refused(call: object) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match="expected"):
        call()

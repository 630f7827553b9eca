"""Verification metrics against hand-computed cases and oracles written another way."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from facemin import metrics

GENUINE = torch.tensor([0.9, 0.8, 0.2])
IMPOSTOR = torch.tensor([0.1, 0.3, 0.5, 0.7])

# Few distinct values, so that ties are the rule.
coarse = st.lists(st.integers(-4, 4), min_size=1, max_size=30).map(lambda xs: torch.tensor(xs) / 4)
fars = st.one_of(st.sampled_from([0.01, 0.1, 0.25, 0.29, 1 / 3, 0.5, 0.9]), st.floats(1e-6, 0.999))


def next_float32(value: float) -> float:
    return float(np.nextafter(np.float32(value), np.float32(np.inf)))


@pytest.mark.parametrize(
    ("far", "threshold", "tar", "measured", "meaningful"),
    [
        (0.25, next_float32(0.5), 2 / 3, 0.25, True),
        (0.5, next_float32(0.3), 2 / 3, 0.5, True),
        (0.75, next_float32(0.1), 1.0, 0.75, True),
        (0.2, next_float32(0.7), 2 / 3, 0.0, False),
    ],
)
def test_tar_at_far_by_hand(far: float, threshold: float, tar: float, measured: float, meaningful: bool) -> None:
    assert metrics.tar_at_far(GENUINE, IMPOSTOR, far=far) == (tar, threshold, measured, 3, 4, meaningful)
    assert metrics.threshold_at_far(IMPOSTOR, far=far) == (threshold, measured, 4, meaningful)


def test_tied_impostors_are_accepted_together_or_not_at_all() -> None:
    impostor = torch.tensor([0.1, 0.6, 0.6, 0.6])
    result = metrics.tar_at_far(torch.tensor([0.6, 0.61]), impostor, far=0.5)
    assert result.far_measured == 0.0
    assert result.tar == 0.5
    assert result.threshold == next_float32(0.6)


def test_a_share_that_floats_round_below_an_integer_still_counts() -> None:
    # 0.29 * 100 is 28.999..., yet 29 of 100 is a FAR of exactly 0.29.
    assert metrics.threshold_at_far(torch.arange(100.0), far=0.29).far_measured == 0.29


@pytest.mark.parametrize(("n", "meaningful"), [(999, False), (1000, True)])
def test_a_far_below_one_impostor_is_not_meaningful(n: int, meaningful: bool) -> None:
    assert metrics.threshold_at_far(torch.linspace(-1, 1, n), far=1e-3).meaningful is meaningful


@given(coarse, coarse, fars)
@settings(deadline=None)
def test_no_lower_threshold_keeps_the_far(genuine: Tensor, impostor: Tensor, far: float) -> None:
    """The oracle tries every score there is, and the float next to it, one by one."""
    candidates = sorted(
        value for score in [*genuine.tolist(), *impostor.tolist()] for value in (score, next_float32(score))
    )
    allowed = [t for t in candidates if sum(s >= t for s in impostor.tolist()) / len(impostor) <= far]
    result = metrics.tar_at_far(genuine, impostor, far=far)
    assert result.far_measured <= far
    assert result.threshold == allowed[0] or result.threshold < allowed[0]
    accepted = sum(s >= allowed[0] for s in genuine.tolist())
    assert result.tar == accepted / len(genuine)
    # One float lower and an impostor too many would be let in.
    lower = float(np.nextafter(np.float32(result.threshold), np.float32(-np.inf)))
    assert sum(s >= lower for s in impostor.tolist()) / len(impostor) > far
    assert result.meaningful == (1 / len(impostor) <= far)


@pytest.mark.parametrize("descending", [False, True])
def test_a_million_impostors(descending: bool) -> None:
    scores = torch.arange(1_000_000, dtype=torch.float64).sort(descending=descending).values
    result = metrics.threshold_at_far(scores, far=1e-3)
    assert result.threshold == math.nextafter(998_999.0, math.inf)
    assert result.far_measured == 1e-3


def test_rates_compare_exactly_with_a_threshold_finer_than_the_scores() -> None:
    score = torch.tensor([0.1])
    above = math.nextafter(float(score), math.inf)
    assert metrics.rates_at(score, score, above) == metrics.Rates(0.0, 0.0, 1, 1)
    assert metrics.rates_at(score, score, float(score)) == metrics.Rates(1.0, 1.0, 1, 1)


def test_half_precision_scores_keep_their_values() -> None:
    impostor = torch.tensor([0.1, 0.3, 0.5, 0.7], dtype=torch.float16)
    result = metrics.tar_at_far(impostor, impostor, far=0.25)
    assert result.tar == result.far_measured == 0.25


def test_roc_by_hand() -> None:
    far, tar, thresholds = metrics.roc(torch.tensor([0.5, 0.75]), torch.tensor([0.25, 0.5]))
    assert thresholds.tolist() == [math.inf, 0.75, 0.5, 0.25]
    assert far.tolist() == [0.0, 0.0, 0.5, 1.0]
    assert tar.tolist() == [0.0, 0.5, 1.0, 1.0]


@given(coarse, coarse)
@settings(deadline=None)
def test_roc_agrees_with_rates_at_every_threshold(genuine: Tensor, impostor: Tensor) -> None:
    curve = metrics.roc(genuine, impostor)
    assert len(curve.thresholds) == 1 + len({*genuine.tolist(), *impostor.tolist()})
    for far, tar, threshold in zip(*(part.tolist() for part in curve), strict=True):
        rates = metrics.rates_at(genuine, impostor, threshold)
        assert (far, tar) == pytest.approx((rates.far, rates.tar), abs=1e-12)


@pytest.mark.parametrize(
    ("genuine", "impostor", "expected"),
    [
        ([0.9, 0.8, 0.2], [0.1, 0.3, 0.5, 0.7], 1 / 3),
        ([0.9, 0.8], [0.1, 0.2], 0.0),
        ([0.1, 0.2], [0.8, 0.9], 1.0),
        ([0.5, 0.5], [0.5, 0.5], 0.5),
        # From (0, 1/2) to (1/4, 0): FAR = u/4 meets FRR = (1 - u)/2 at u = 2/3.
        ([0.9, 0.5], [0.5, 0.1, 0.2, 0.3], 1 / 6),
    ],
)
def test_eer_by_hand(genuine: list[float], impostor: list[float], expected: float) -> None:
    assert metrics.eer(torch.tensor(genuine), torch.tensor(impostor)) == pytest.approx(expected, abs=1e-12)


@given(coarse, coarse)
@settings(deadline=None)
def test_eer_agrees_with_interpolation_along_the_curve(genuine: Tensor, impostor: Tensor) -> None:
    """FAR - FRR rises strictly from point to point, so NumPy can interpolate FAR where it is 0."""
    g, i = genuine.numpy(), impostor.numpy()
    cuts = [np.inf, *sorted({*g.tolist(), *i.tolist()}, reverse=True)]
    far = np.array([(i >= cut).mean() for cut in cuts])
    frr = np.array([(g < cut).mean() for cut in cuts])
    assert metrics.eer(genuine, impostor) == pytest.approx(np.interp(0.0, far - frr, far), abs=1e-12)


def fold_accuracy_in_plain_loops(cosines: list[float], same: list[bool], folds: int) -> tuple[list[float], list[float]]:
    """InsightFace's procedure, pair by pair."""
    parts = [part.tolist() for part in np.array_split(np.arange(len(same)), folds)]
    grid = np.arange(0, 4, 0.01)
    accuracies, thresholds = [], []
    for left_out in parts:
        others = [pair for part in parts if part is not left_out for pair in part]
        score = [sum(((2 - 2 * cosines[p]) < t) == same[p] for p in others) for t in grid]
        threshold = grid[score.index(max(score))]
        hits = sum(((2 - 2 * cosines[p]) < threshold) == same[p] for p in left_out)
        accuracies.append(hits / len(left_out))
        thresholds.append(float(threshold))
    return accuracies, thresholds


@pytest.mark.parametrize(("n", "folds"), [(60, 10), (47, 10), (9, 2), (12, 12)])
def test_ten_fold_accuracy_agrees_with_plain_loops(n: int, folds: int) -> None:
    generator = torch.Generator().manual_seed(n)
    same = torch.rand(n, generator=generator) < 0.5
    cosines = (torch.randn(n, generator=generator, dtype=torch.float64) * 0.3 + 0.3 * same).clamp(-1, 1)
    accuracies, thresholds = fold_accuracy_in_plain_loops(cosines.tolist(), same.tolist(), folds)
    result = metrics.ten_fold_accuracy(cosines, same, folds=folds)
    assert result.accuracies.tolist() == accuracies
    assert result.thresholds.tolist() == thresholds
    assert result.mean == pytest.approx(np.mean(accuracies))
    assert result.std == pytest.approx(np.std(accuracies))


def test_ten_fold_threshold_comes_from_the_other_folds_only() -> None:
    # Fold 1 wants a threshold above 3, fold 2 one between 0 and 2: each is judged by the other's.
    cosines = torch.tensor([-0.5, -0.9, 0.896, 0.0], dtype=torch.float64)
    same = torch.tensor([True, False, True, False])
    result = metrics.ten_fold_accuracy(cosines, same, folds=2)
    assert result.thresholds.tolist() == pytest.approx([0.21, 3.01])
    assert result.accuracies.tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (torch.empty(0), "non-empty"),
        (torch.ones(2, 2), r"\(2, 2\)"),
        (torch.tensor([1, 2]), "int64"),
        (torch.tensor([0.1, math.nan]), "1 of 2"),
        (torch.tensor([0.1, math.inf]), "finite"),
    ],
)
def test_bad_scores_are_named(scores: Tensor, message: str) -> None:
    good = torch.tensor([0.5])
    with pytest.raises(ValueError, match=f"impostor.*{message}"):
        metrics.tar_at_far(good, scores, far=0.1)
    with pytest.raises(ValueError, match=f"genuine.*{message}"):
        metrics.eer(scores, good)


@pytest.mark.parametrize("far", [0.0, 1.0, -0.1, 2.0, math.nan])
def test_a_far_is_a_fraction(far: float) -> None:
    with pytest.raises(ValueError, match="far: expected a fraction"):
        metrics.threshold_at_far(torch.tensor([0.5]), far=far)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="threshold"):
        metrics.rates_at(GENUINE, IMPOSTOR, math.nan)
    with pytest.raises(ValueError, match="same: expected a bool"):
        metrics.ten_fold_accuracy(IMPOSTOR, torch.tensor([1, 0, 1, 0]))
    with pytest.raises(ValueError, match="same: expected a bool"):
        metrics.ten_fold_accuracy(IMPOSTOR, torch.tensor([True, False]))
    with pytest.raises(ValueError, match=r"folds: expected 2\.\.4"):
        metrics.ten_fold_accuracy(IMPOSTOR, IMPOSTOR > 0.4)

"""Linkability by hand, against SciPy, and under its own null."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from facemin.metrics import wilson
from facemin.metrics.linkability import _permuted, _resampled, auc, d_sys, linkage


def test_d_sys_by_hand() -> None:
    # 20 mated scores make two bins: [0, 1] and [1, 2]; mated 1/4 and 3/4, non-mated 3/4 and 1/4: LR = 3 in the second,
    # D = 2 * 3 / 4 - 1 = 1/2, D_sys = 3/4 * 1/2
    mated = np.array([0.0] * 5 + [2.0] * 15)
    non_mated = np.array([0.0] * 30 + [2.0] * 10)
    assert d_sys(mated, non_mated) == pytest.approx(3 / 8)
    # with omega = 1/3 the second bin is as likely as not: D = 0; with 3: LR 9 there (D = 0.8), 1 in the first (0)
    assert d_sys(mated, non_mated, omega=1 / 3) == pytest.approx(0)
    assert d_sys(mated, non_mated, omega=3) == pytest.approx(3 / 4 * 0.8)


def test_d_sys_where_no_non_mated_score_falls() -> None:
    # half of the mated scores lie where no non-mated one does: D = 1 there, 0 where the densities are 1/2 and 1
    assert d_sys([0.0] * 10 + [2.0] * 10, [0.0] * 20) == pytest.approx(1 / 2)


def test_d_sys_at_its_ends() -> None:
    generator = np.random.default_rng(0)
    low = generator.random(200)
    assert d_sys(low + 5, low) == 1
    assert d_sys(low, low) == 0
    assert d_sys([1.0, 1.0], [1.0, 1.0, 1.0]) == 0
    assert d_sys(low + 50, low, estimate="kernel") == pytest.approx(1)
    assert d_sys(low, low, estimate="kernel") == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("estimate", ["histogram", "kernel"])
def test_d_sys_of_normal_scores(estimate: str) -> None:
    """N(1, 1) against N(0, 1): D = tanh((s - 1/2) / 2) above 1/2, integrated here by trapezoids."""
    s = np.linspace(0.5, 9, 100_000)
    density = np.exp(-0.5 * (s - 1) ** 2) / math.sqrt(2 * math.pi)
    expected = np.trapezoid(density * np.tanh((s - 0.5) / 2), s)
    generator = np.random.default_rng(1)
    found = d_sys(
        generator.normal(1, 1, 5000),
        generator.normal(0, 1, 5000),
        estimate=estimate,  # type: ignore[arg-type]
    )
    assert found == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize(
    ("mated", "non_mated", "more", "said"),
    [
        ([1.0], [1.0, 2.0], {}, "mated: expected at least 2"),
        ([1.0, 2.0], [], {}, "non_mated"),
        ([1.0, math.nan], [1.0, 2.0], {}, "mated.*finite"),
        ([[1.0, 2.0]], [1.0, 2.0], {}, "mated"),
        ([1.0, 2.0], [1.0, 2.0], {"omega": 0}, "omega"),
        ([1.0, 2.0], [1.0, 2.0], {"estimate": "spline"}, "estimate: .*'spline'"),
        ([1.0, 1.0], [1.0, 2.0], {"estimate": "kernel"}, "all alike"),
    ],
)
def test_bad_scores_are_named(mated: object, non_mated: object, more: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        d_sys(mated, non_mated, **more)  # type: ignore[arg-type]


def test_auc_by_hand() -> None:
    # of six pairs four are won and one is a tie
    found = auc([3.0, 2.0], [1.0, 2.0, 2.5])
    assert found.auc == pytest.approx(4.5 / 6)
    assert (found.n_mated, found.n_non_mated) == (2, 3)
    # DeLong: mated places 1 and 1/2, non-mated 1, 3/4, 1/2; variance 1/8 / 2 + 1/16 / 3
    half = 1.959964 * math.sqrt(1 / 16 + 1 / 48) / (0.75 * 0.25)
    assert math.log(found.interval.high / (1 - found.interval.high)) == pytest.approx(math.log(3) + half, rel=1e-6)
    assert math.log(found.interval.low / (1 - found.interval.low)) == pytest.approx(math.log(3) - half, rel=1e-6)


@given(st.lists(st.integers(0, 6), min_size=2, max_size=30), st.lists(st.integers(0, 6), min_size=2, max_size=30))
@settings(deadline=None, max_examples=60)
def test_auc_agrees_with_scipy(mated: list[int], non_mated: list[int]) -> None:
    found = auc(mated, non_mated)
    expected = mannwhitneyu(mated, non_mated, alternative="greater", method="asymptotic", use_continuity=False)
    assert found.auc == pytest.approx(expected.statistic / len(mated) / len(non_mated))
    if len({*mated, *non_mated}) > 1:
        assert found.p == pytest.approx(expected.pvalue, abs=1e-9)
    assert 0 <= found.interval.low <= found.auc + 0.5 / min(len(mated), len(non_mated))
    assert found.interval.high <= 1


def test_auc_of_scores_all_apart() -> None:
    found = auc([2.0] * 30, [1.0] * 50)
    assert (found.auc, found.interval) == (1, wilson(30, 30))


def test_delongs_interval_covers() -> None:
    """N(1, 1) against N(0, 1): the area is Phi(1 / sqrt 2) = 0.760; 95 % of 200 intervals hold it, 3 to 19 do not."""
    generator, missed = np.random.default_rng(2), 0
    for _ in range(200):
        low, high = auc(generator.normal(1, 1, 40), generator.normal(0, 1, 60)).interval
        missed += not low <= 0.7602 <= high
    assert 3 <= missed <= 19


def likeness(n: int, strength: float, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.standard_normal((n, n)) + strength * np.eye(n)


def test_linkage_by_hand() -> None:
    scores = np.array([[0.9, 0.1, 0.2], [0.5, 0.5, 0.0], [0.8, 0.1, 0.3]])
    found = linkage(scores, ks=(1, 2, 3), samples=50, draws=50)
    # against the six others: 0.9 beats 6; 0.5 beats 4 and ties one; 0.3 beats 4
    assert found.area.auc == pytest.approx((6 + 4.5 + 4) / 18)
    assert (found.area.n_mated, found.area.n_non_mated) == (3, 6)
    # places: 1; 2 (a tie counts against it); 2
    assert [rank.share for rank in found.ranks] == [pytest.approx(1 / 3), 1, 1]
    assert found.ranks[0].interval == wilson(1, 3)
    assert [rank.chance for rank in found.ranks] == [pytest.approx(1 / 3), pytest.approx(2 / 3), 1]


def test_a_linker_that_knows_nothing_is_within_its_null() -> None:
    found = [linkage(likeness(60, 0, seed), samples=200, draws=99, seed=seed) for seed in range(20)]
    assert sum(one.d_sys > one.d_sys_null for one in found) <= 4
    assert sum(one.area.p <= 0.05 for one in found) <= 4
    assert sum(not one.area.interval.low <= 0.5 <= one.area.interval.high for one in found) <= 4
    # the measure itself is not 0 by chance, hence the null
    assert np.mean([one.d_sys for one in found]) > 0.02


def test_a_linker_that_knows_is_found() -> None:
    found = linkage(likeness(60, 3), samples=200, draws=99)
    assert found.area.auc == pytest.approx(0.983, abs=0.02)
    assert found.area.p == found.d_sys_p == pytest.approx(0.01)
    assert found.d_sys > 0.5 > found.d_sys_null
    assert found.ranks[0].interval.low > 5 * found.ranks[0].chance
    assert found.area.interval.low > 0.9


def test_a_constant_linker_is_at_chance() -> None:
    found = linkage(np.ones((12, 12)), samples=20, draws=20)
    assert (found.area.auc, found.area.interval, found.d_sys) == (0.5, (0.5, 0.5), 0)
    assert [rank.share for rank in found.ranks] == [0, 0]


@pytest.mark.parametrize("levels", [1, 4, None])
def test_permutations_give_what_each_order_gives_by_itself(levels: int | None) -> None:
    generator = np.random.default_rng(3)
    matrix = generator.standard_normal((25, 25)) if levels is None else generator.integers(levels, size=(25, 25)) / 7
    off = ~np.eye(25, dtype=bool)
    orders = np.stack([np.arange(25), *(generator.permutation(25) for _ in range(20))])
    areas, linkabilities = _permuted(np.asarray(matrix, np.float64), orders)
    for order, area, linkability in zip(orders, areas, linkabilities, strict=True):
        permuted = matrix[:, order]
        assert area == pytest.approx(auc(np.diag(permuted), permuted[off]).auc)
        assert linkability == pytest.approx(d_sys(np.diag(permuted), permuted[off]))


def test_the_bootstrap_draws_people() -> None:
    """Against plain loops: each draw of people counts each mated score and each pair of two people once a copy."""
    scores, off = likeness(5, 1).round(1), ~np.eye(5, dtype=bool)
    found = _resampled(scores, off, 8, np.random.default_rng(3))
    generator = np.random.default_rng(3)
    for area in found:
        people = generator.integers(5, size=5)
        mated = [scores[i, i] for i in people]
        non_mated = [scores[i, j] for i in people for j in people if i != j]
        assert area == pytest.approx(auc(mated, non_mated).auc)


@pytest.mark.parametrize(
    ("scores", "more", "said"),
    [
        (np.ones((3, 4)), {}, "scores"),
        (np.ones((2, 2)), {}, "scores"),
        (np.full((3, 3), np.nan), {}, "scores"),
        (np.ones((3, 3)), {"ks": (1, 4)}, "ks"),
        (np.ones((3, 3)), {"ks": (1,), "samples": 0}, "samples"),
        (np.ones((3, 3)), {"ks": (1,), "confidence": 1}, "confidence"),
    ],
)
def test_bad_matrices_are_named(scores: np.ndarray, more: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        linkage(scores, **more)  # type: ignore[arg-type]

"""Many attempts on the same people: oracles, and how often chance alone is called a finding."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from facemin.metrics import threshold_at_far, wilson
from facemin.metrics.simultaneous import binomial_tail, exceedance_tail, family, found, holm, union

LEVEL = 0.05


def cells_of_nobody(generator: np.random.Generator, *, cells: int, people: int, size: int = 16) -> NDArray[np.float64]:
    """Cosines of probes that know nothing of the gallery, at recognisers that depend on one another."""
    shared = generator.normal(size=(people, size)), generator.normal(size=(people, size))
    matrices = []
    for _ in range(cells):
        rows = [side + generator.normal(size=side.shape) for side in shared]
        unit = [side / np.linalg.norm(side, axis=1, keepdims=True) for side in rows]
        matrices.append(unit[0] @ unit[1].T)
    return np.stack(matrices)


def false_alarms(count: int, level: float = LEVEL) -> int:
    """So many of `count` independent simulations may say something at this level, but for one in a thousand."""
    return int(stats.binom.ppf(0.999, count, level))


class TestUnion:
    def test_is_more_than_its_worst_cell(self) -> None:
        flags = np.array([[1, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 1, 0, 0, 0]], bool)
        got = union(flags)
        assert got == (3, 1, 2, 3, 5, 0.6, wilson(3, 5))

    @pytest.mark.parametrize("flags", [np.zeros((2, 3)), np.zeros(3, bool), np.zeros((0, 3), bool)])
    def test_refuses_what_are_no_flags(self, flags: NDArray[np.generic]) -> None:
        with pytest.raises(ValueError, match="accepted: expected flags"):
            union(flags)


class TestTails:
    def test_simultaneous_bounds_equal_scipys(self) -> None:
        assert binomial_tail(3, 40, 0.02) == pytest.approx(stats.binom.sf(2, 40, 0.02))
        assert exceedance_tail(3, 40, admitted=2, impostors=900) == pytest.approx(
            stats.betabinom.sf(2, 40, 3, 898), rel=1e-9
        )
        assert binomial_tail(0, 40, 0.02) == exceedance_tail(0, 40, admitted=0, impostors=1) == 1

    def test_a_threshold_of_few_impostors_lets_more_in(self) -> None:
        """No impostor of a hundred admitted: a hit of a hundred is an even chance, not a share of 0."""
        assert exceedance_tail(1, 100, admitted=0, impostors=100) == pytest.approx(0.5, abs=0.01)
        assert binomial_tail(1, 100, 1 / 101) < 0.64

    def test_refuses_numbers_out_of_range(self) -> None:
        with pytest.raises(ValueError, match="hits, n: expected"):
            binomial_tail(5, 4, 0.1)
        with pytest.raises(ValueError, match="chance: expected a probability"):
            binomial_tail(1, 4, 1.1)
        with pytest.raises(ValueError, match=r"admitted: expected 0\.\.9"):
            exceedance_tail(1, 4, admitted=10, impostors=10)
        with pytest.raises(ValueError, match="level"):
            found([0.1], level=1)


class TestChanceIsNoFinding:
    """Each way to call the worst of many, on worlds in which there is nothing to find."""

    def test_the_threshold_of_these_very_impostors(self) -> None:
        """Bonferroni over cells of exceedance tails; the binomial at the measured rate would say too much."""
        import torch

        generator, worlds, cells, people = np.random.default_rng(1), 400, 12, 40
        said, naive = 0, 0
        for _ in range(worlds):
            smallest, binomial = 1.0, 1.0
            for matrix in cells_of_nobody(generator, cells=cells, people=people):
                # few impostors, as of a small audit: one a probe
                impostor = np.diag(np.roll(matrix, 1, axis=1))
                at = threshold_at_far(torch.from_numpy(impostor.copy()), far=0.03)
                admitted = int((impostor >= at.threshold).sum())
                hits = int((np.diag(matrix) >= at.threshold).sum())
                smallest = min(smallest, exceedance_tail(hits, people, admitted=admitted, impostors=people))
                binomial = min(binomial, binomial_tail(hits, people, max(0.03, 1 / (people + 1))))
            said += cells * smallest < LEVEL
            naive += cells * binomial < LEVEL
        assert said <= false_alarms(worlds)
        assert naive > 2 * false_alarms(worlds)

    def test_a_family_of_dependent_cells(self) -> None:
        generator, worlds = np.random.default_rng(2), 300
        said, unions, cellwise = 0, 0, 0
        for world in range(worlds):
            scores = cells_of_nobody(generator, cells=10, people=24)
            thresholds = np.quantile(scores, 0.97, axis=(1, 2))
            got = family(scores, thresholds, draws=99, seed=world)
            said += float(got.p.min()) <= LEVEL
            unions += got.union_p <= LEVEL
            alone = [
                family(cell[None], [at], draws=99, seed=world).p[0] for cell, at in zip(scores, thresholds, strict=True)
            ]
            cellwise += min(alone) <= LEVEL
        assert said <= false_alarms(worlds)
        assert unions <= false_alarms(worlds)
        # taken one by one, the worst of ten finds something where there is nothing
        assert cellwise > false_alarms(worlds)

    def test_holm_over_a_table(self) -> None:
        generator, tables = np.random.default_rng(3), 400
        assert sum(bool(found(generator.random(30)).any()) for _ in range(tables)) <= false_alarms(tables)


class TestAFindingIsFound:
    def test_in_one_cell_of_ten(self) -> None:
        scores = cells_of_nobody(np.random.default_rng(4), cells=10, people=40)
        scores[3] += 0.6 * np.eye(40)
        thresholds = np.quantile(scores, 0.98, axis=(1, 2))
        got = family(scores, thresholds, draws=199)
        assert got.p.argmin() == 3
        assert got.p[3] == pytest.approx(1 / 200)
        assert got.union >= got.hits[3] == got.hits.max()
        assert got.union_p == pytest.approx(1 / 200)
        assert got.union_expected < got.union

    def test_spread_over_cells_that_each_have_too_little(self) -> None:
        """Four people in each of ten cells: no cell says much, and the union is all of them."""
        scores = cells_of_nobody(np.random.default_rng(5), cells=10, people=40)
        thresholds = np.quantile(scores, 0.999, axis=(1, 2))
        for cell in range(10):
            mine = np.arange(4 * cell, 4 * cell + 4)
            scores[cell, mine, mine] = 1
        got = family(scores, thresholds, draws=199)
        assert got.hits.max() <= 6
        assert got.union >= 38
        assert got.union_p == pytest.approx(1 / 200)

    def test_a_cell_that_accepts_all_pairs_has_p_one(self) -> None:
        scores = cells_of_nobody(np.random.default_rng(6), cells=1, people=10)
        got = family(scores, [-2.0])
        assert got.hits.tolist() == [10]
        assert got.p.tolist() == [1.0]
        assert got.union_p == 1

    def test_refuses_other_shapes(self) -> None:
        with pytest.raises(ValueError, match=r"scores: expected finite numbers \(C, N, N\)"):
            family(np.zeros((2, 3, 4)), [0, 0])
        with pytest.raises(ValueError, match="thresholds, draws"):
            family(np.zeros((2, 3, 3)), [0])


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]).tolist() == [1, 1]
    assert holm([]).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
@settings(deadline=None)
def test_holm_is_between_none_and_bonferroni(values: list[float]) -> None:
    adjusted, plain = holm(values), np.array(values)
    assert (adjusted >= plain).all()
    assert (adjusted <= np.minimum(plain * len(values), 1) + 1e-12).all()
    assert (adjusted >= stats.false_discovery_control(plain) - 1e-12).all()


def test_holm_wants_probabilities() -> None:
    for values in ([-0.1], [1.1], [math.nan], [[0.5]]):
        with pytest.raises(ValueError, match="p_values"):
            holm(values)

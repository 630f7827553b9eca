"""Ridge regression from uploads to plain embeddings: learns under one rotation, not across secrets."""

import numpy as np
import pytest

from facemin.attack.secret.ridge import fit_ridge
from facemin.metrics import holm, linkage
from tests.attack.secret.conftest import People, Rows, turned

D = 16


def under_secrets(rows: Rows, first: int = 0) -> Rows:
    return np.stack([turned(D, first + at) @ row for at, row in enumerate(rows)])


def test_pairs_under_one_rotation_teach_it(people: People) -> None:
    photos = people(300, 2, D, spread=0.3)
    secret = turned(D)
    fitted = fit_ridge(photos[:200, 0] @ secret.T, photos[:200, 0])
    scores = fitted(photos[200:, 0] @ secret.T) @ photos[200:, 1].T
    assert linkage(scores, draws=49, samples=50).area.auc > 0.95
    assert fitted.cosine > 0.9


def test_pairs_under_other_secrets_teach_nothing(people: People) -> None:
    photos = people(300, 2, D, spread=0.3)
    fitted = fit_ridge(under_secrets(photos[:200, 0]), photos[:200, 0])
    found = linkage(fitted(under_secrets(photos[200:, 0], 1000)) @ photos[200:, 1].T, draws=99, samples=50)
    assert found.area.p > 0.01
    assert found.ranks[0].share < 0.05


def test_more_inputs_than_pairs_give_the_same_map_by_either_way(people: People) -> None:
    plain = people(40, 1, D)[:, 0]
    wide = np.random.default_rng(0).standard_normal((40, 60))
    fitted = fit_ridge(wide, plain)
    x = (wide - fitted.centre) / fitted.scale
    slow = np.linalg.solve(x.T @ x + fitted.ridge * 40 * np.eye(60), x.T @ (plain - fitted.offset))
    assert np.allclose(fitted.matrix, slow)


def test_inputs_of_another_kind_are_read_less_their_own_mean(people: People) -> None:
    photos = people(300, 2, D, spread=0.3)
    learnt = fit_ridge(photos[:200, 0], photos[:200, 0])
    shift = 5 * turned(D)[0]
    heap, probes = photos[:200, 1] + shift, photos[200:, 0] + shift
    moved = learnt.centred_on(heap)
    expected = photos[200:, 0] - photos[:200, 1].mean(0) + photos[:200, 0].mean(0)
    assert np.allclose(moved(probes), learnt(expected))
    gallery = photos[200:, 1]
    areas = [linkage(each(probes) @ gallery.T, draws=49, samples=50).area.auc for each in (learnt, moved)]
    assert areas[1] > max(0.95, areas[0] + 0.05)
    with pytest.raises(ValueError, match=r"heap: expected \(M, 16\), M >= 1, got \(0, 16\)"):
        learnt.centred_on(heap[:0])
    with pytest.raises(ValueError, match="heap: expected"):
        learnt.centred_on(heap[:, :4])
    with pytest.raises(ValueError, match="heap: expected finite numbers"):
        learnt.centred_on(np.where(heap > 0, np.nan, heap))


def test_holm_over_a_table_at_chance_rejects_one_in_twenty_at_most() -> None:
    generator = np.random.default_rng(0)
    rejected = 0
    for _ in range(40):
        attackers = generator.standard_normal((6, 30, 30))
        p = [linkage(scores, ks=(1,), draws=99, samples=1).area.p for scores in attackers]
        rejected += bool((holm(p) <= 0.05).any())
    # 40 tables at a level of 0.05: more than six has a probability below 0.002
    assert rejected <= 6


def test_refuses_too_few_pairs() -> None:
    with pytest.raises(ValueError, match="N >= 10"):
        fit_ridge(np.zeros((9, 2)), np.zeros((9, 2)))
    with pytest.raises(ValueError, match="finite"):
        fit_ridge(np.full((20, 2), np.nan), np.zeros((20, 2)))

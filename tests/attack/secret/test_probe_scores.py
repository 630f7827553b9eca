"""Accounts found by the scores of their probes."""

import numpy as np
import pytest

from facemin.attack.secret.gram import gram
from facemin.attack.secret.probe_scores import expected_statistics, fit_pairs, probe_scores, score_statistics
from facemin.metrics import linkage
from facemin.pseudonym import score_preserving
from tests.attack.secret.conftest import People, Rows

D = 24


def test_scores_and_statistics_by_hand() -> None:
    scores = probe_scores([[1.0, 0.0], [0.6, 0.8], [0.8, -0.6]])
    assert np.allclose(scores, [0.6, 0.8])
    assert np.allclose(score_statistics(scores, 1.0), [0.7, 0.6, 0.1, 0])
    assert np.allclose(score_statistics(scores, 0.7), [0.65, 0.6, 0.05, 0.5])
    grams = np.array([[[1, 0.2, 0.4], [0.2, 1, 0.6], [0.4, 0.6, 1]]])
    # of each photo in turn: 0.2 and 0.4; 0.2 and 0.6; 0.4 and 0.6
    assert np.allclose(expected_statistics(grams, 0.5)[0], [(0.3 + 0.35 + 0.45) / 3, 0.8 / 3, 0.3 / 3, 1 / 3])


def sent(photos: Rows, most: float | None) -> Rows:
    """Accounts whose first photo is enrolled."""
    generator = np.random.default_rng(3)
    seeds = [generator.bytes(32) for _ in photos[0, 1:]]
    probes = [score_preserving(each[1:], each[:1], seeds, most=most) for each in photos]
    return np.concatenate([photos[:, :1], np.stack(probes)], 1)


def test_people_who_vary_differently_are_found_by_scores_and_less_by_decisions(people: People) -> None:
    spread, other = (np.random.default_rng(seed).uniform(0.1, 1.5, 120) for seed in (4, 5))
    faces, taught = people(120, 20, D, spread=spread), people(120, 20, D, spread=other, seed=1)
    found = {}
    for most in (None, 0.3):
        limit = 1.0 if most is None else most
        sides = [
            (
                score_statistics(probe_scores(sent(photos[:, :10], most)), limit),
                expected_statistics(gram(photos[:, 10:]), limit),
            )
            for photos in (taught, faces)
        ]
        matcher = fit_pairs(*sides[0], ridge=1.0, seed=0)
        found[most] = linkage(matcher(*sides[1]), draws=49, samples=50).area
    assert found[None].auc > 0.75
    assert found[None].p < 0.05
    assert found[0.3].auc < found[None].auc - 0.05


def test_people_who_all_vary_alike_are_not_found(people: People) -> None:
    faces, taught = people(120, 10, D), people(120, 10, D, seed=1)
    sides = [
        (score_statistics(probe_scores(photos[:, :5]), 1.0), expected_statistics(gram(photos[:, 5:]), 1.0))
        for photos in (taught, faces)
    ]
    assert linkage(fit_pairs(*sides[0], ridge=1.0, seed=0)(*sides[1]), draws=49, samples=50).area.p > 0.01


def test_a_classifier_learns_a_product_that_tells() -> None:
    generator = np.random.default_rng(0)
    one = generator.standard_normal((400, 2))
    other = np.stack([-one[:, 1], generator.standard_normal(400)], 1) + 0.3 * generator.standard_normal((400, 2))
    scores = fit_pairs(one, other, ridge=1.0, seed=0)(one, other)
    assert scores.shape == (400, 400)
    assert (np.diag(scores)[:, None] > scores).mean() > 0.85


def test_wrong_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match="n >= 2"):
        probe_scores(np.ones((3, 1, 4)))
    with pytest.raises(ValueError, match="m >= 2"):
        expected_statistics(np.ones((3, 1, 1)), 1.0)
    with pytest.raises(ValueError, match="accounts, candidates"):
        fit_pairs(np.ones((4, 2)), np.ones((5, 2)), ridge=1.0, seed=0)
    with pytest.raises(ValueError, match="ridge"):
        fit_pairs(np.ones((4, 2)), np.ones((4, 2)), ridge=0.0, seed=0)

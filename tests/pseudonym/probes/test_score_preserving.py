"""Score-preserving probes: every score stays, and nothing else of the embedding does."""

import numpy as np
import pytest
from numpy.typing import NDArray

from facemin.pseudonym import haar, score_preserving
from facemin.pseudonym.rotation import unit_rows

Rows = NDArray[np.float64]


def rows(seed: int, count: int, size: int = 66) -> Rows:
    return unit_rows(np.random.default_rng(seed).standard_normal((count, size)))


def seeds(first: int, count: int) -> list[bytes]:
    generator = np.random.default_rng(first)
    return [generator.bytes(32) for _ in range(count)]


@pytest.mark.parametrize("templates", [1, 2, 16, 65])
def test_every_score_stays_and_lengths_are_one(templates: int) -> None:
    embeddings, enrolled = rows(1, 40), rows(2, templates)
    found = score_preserving(3 * embeddings, 0.5 * enrolled, seeds(3, 40))
    assert np.abs(found @ enrolled.T - embeddings @ enrolled.T).max() < 1e-12
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-12


def test_the_rotation_changes_nothing_of_it() -> None:
    embeddings, enrolled, turn = rows(1, 5), rows(2, 2), haar(bytes(range(32)), 66)
    found = score_preserving(embeddings, enrolled, seeds(3, 5))
    assert np.abs(found @ turn.T @ (enrolled @ turn.T).T - embeddings @ enrolled.T).max() < 1e-12


def test_the_remainder_is_uniform_and_independent_of_the_embedding() -> None:
    """Directions of many draws for one embedding: mean 0, even covariance, cosines to e as a random point has them."""
    size, count = 12, 6000
    embedding, template = rows(1, 1, size), rows(2, 1, size)
    found = score_preserving(np.repeat(embedding, count, 0), template, seeds(3, count))
    left = unit_rows(found - found @ template.T @ template)
    assert np.linalg.norm(left.mean(0)) < 4 / count**0.5
    spread = left.T @ left / count
    expected = (np.eye(size) - template.T @ template) / (size - 1)
    assert np.abs(spread - expected).max() < 6 / (size * count**0.5)
    own = unit_rows(embedding - embedding @ template.T @ template)
    cosines = (left @ own.T)[:, 0]
    assert abs(float(cosines.mean())) < 4 / (size * count) ** 0.5
    # as the cosine of a point that is uniform on the sphere of dimension 11: second and fourth moments
    assert float((cosines**2).mean()) == pytest.approx(1 / 11, rel=0.08)
    assert float((cosines**4).mean()) == pytest.approx(3 / (11 * 13), rel=0.15)


def test_two_probes_of_a_person_share_their_scores_and_nothing_else() -> None:
    """Photos of one person that are nearly equal: their probes are as far apart as their scores leave them."""
    generator = np.random.default_rng(0)
    template = rows(1, 1)
    person = unit_rows(template + 0.08 * generator.standard_normal((1, 66)))
    near = unit_rows(person + 0.01 * generator.standard_normal((300, 66)))
    assert float((near[0::2] * near[1::2]).sum(1).mean()) > 0.98
    found = score_preserving(near, template, seeds(2, 300))
    scores = (found @ template.T)[:, 0]
    left = (found[0::2] * found[1::2]).sum(1) - scores[0::2] * scores[1::2]
    assert abs(float(left.mean())) < 4 * float(left.std()) / 150**0.5
    assert float(left.std()) == pytest.approx((1 - float((scores**2).mean())) / 65**0.5, rel=0.2)


@pytest.mark.parametrize("templates", [1, 2, 16])
def test_kept_for_a_decision_is_the_best_score_and_of_it_no_more_than_most(templates: int) -> None:
    most = 0.2
    embeddings, enrolled = rows(1, 300), rows(2, templates)
    found = score_preserving(embeddings, enrolled, seeds(3, 300), most=most)
    before, after = ((each @ enrolled.T).max(1) for each in (embeddings, found))
    assert 10 < int((before > most).sum()) < 290
    assert np.abs(after - before.clip(0, most)).max() < 1e-12
    for threshold in (0.01, 0.1, most - 1e-9):
        assert np.array_equal(before >= threshold, after >= threshold)
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 1e-12


def test_the_other_scores_say_which_template_was_nearest_and_nothing_more() -> None:
    enrolled = unit_rows(rows(2, 1) + 0.1 * rows(4, 3) * 66**0.5 / 4)
    one, other = unit_rows(enrolled[:1] + 0.5 * rows(5, 2))
    found = score_preserving([one, other], enrolled, seeds(3, 2), most=0.3)
    nearest = enrolled[(np.stack([one, other]) @ enrolled.T).argmax(1)]
    assert np.abs(found @ enrolled.T - 0.3 * nearest @ enrolled.T).max() < 1e-12


def test_templates_that_say_the_same_count_once() -> None:
    enrolled = rows(2, 1)
    again = np.concatenate([enrolled, -enrolled, enrolled * (1 + 1e-9)])
    embeddings = rows(1, 3)
    assert np.allclose(
        score_preserving(embeddings, again, seeds(3, 3)),
        score_preserving(embeddings, enrolled, seeds(3, 3)),
        atol=1e-12,
    )


def test_where_templates_span_the_space_nothing_is_drawn() -> None:
    embeddings = rows(1, 3, 8)
    assert np.allclose(score_preserving(embeddings, rows(2, 9, 8), seeds(3, 3)), embeddings)


def test_a_probe_that_is_a_template_stays_one() -> None:
    enrolled = rows(2, 2)
    assert np.allclose(score_preserving(enrolled, enrolled, seeds(3, 2)), enrolled)


def test_no_probe_is_an_empty_one() -> None:
    assert score_preserving(np.empty((0, 66)), rows(2, 1), []).shape == (0, 66)


@pytest.mark.parametrize("most", [1.1, -0.1, float("nan")])
def test_a_limit_that_is_no_cosine_is_refused(most: float) -> None:
    with pytest.raises(ValueError, match=r"most: expected a cosine in \[0, 1\]"):
        score_preserving(rows(1, 1), rows(2, 1), seeds(3, 1), most=most)


@pytest.mark.parametrize(
    ("templates", "count", "said"),
    [
        (np.empty((0, 66)), 2, r"templates: expected \(K, 66\) with K >= 1"),
        (rows(2, 1, 65), 2, r"templates: expected \(K, 66\)"),
        (np.zeros((1, 66)), 2, "templates: expected rows with a direction"),
        (rows(2, 1), 1, "seeds: expected 2, one an embedding, got 1"),
    ],
)
def test_wrong_inputs_are_refused(templates: Rows, count: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        score_preserving(rows(1, 2), templates, seeds(3, count))

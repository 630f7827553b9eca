"""Gram matrices of an account's uploads: invariant under rotation, and what they identify."""

import numpy as np
import pytest

from facemin.attack.secret.gram import STATISTICS, entries, fit_likelihood, gram, nearest_scores
from facemin.attack.secret.gromov import gromov_scores
from facemin.attack.secret.same_photos import same_photo_scores, shared_photo_scores
from facemin.attack.secret.variation import fit_variation, scalar_scores
from facemin.metrics import linkage
from tests.attack.secret.conftest import People, Rows, turned

D = 24


def hidden(photos: Rows) -> Rows:
    """Each person's photos under a rotation of the person's own, in another order."""
    generator = np.random.default_rng(9)
    return np.stack([generator.permutation(some) @ turned(D, at).T for at, some in enumerate(photos)])


def found(scores: Rows) -> float:
    return float((scores.argmax(1) == np.arange(len(scores))).mean())


def test_gram_by_hand() -> None:
    rows = [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]
    assert np.allclose(gram(rows), [[1, 0, 0.6], [0, 1, 0.8], [0.6, 0.8, 1]])
    assert np.allclose(entries(gram(rows)[None]), [[0, 0.6, 0.8]])
    assert np.allclose(STATISTICS["mean"](gram(rows)[None]), [[1.4 / 3]])
    assert np.allclose(STATISTICS["row means"](gram(rows)[None]), [[0.3, 0.4, 0.7]])


@pytest.mark.parametrize("statistic", STATISTICS)
def test_no_statistic_sees_rotation_or_order(statistic: str, people: People) -> None:
    photos = people(10, 5, D)
    measure = STATISTICS[statistic]
    assert np.allclose(measure(gram(photos)), measure(gram(hidden(photos))))


@pytest.mark.parametrize("photos", [2, 3, 5])
def test_the_same_photos_are_found_under_any_rotation(photos: int, people: People) -> None:
    faces = people(200, photos, D)
    assert found(same_photo_scores(gram(hidden(faces)), gram(faces))) > 0.98


def test_other_photos_of_people_who_all_vary_alike_say_nothing(people: People) -> None:
    faces = people(150, 10, D)
    one, other = gram(hidden(faces[:, :5])), gram(faces[:, 5:])
    for scores in (same_photo_scores(one, other), nearest_scores(*map(STATISTICS["mean"], (one, other)))):
        assert linkage(scores, draws=49, samples=50).area.p > 0.01


def test_people_who_vary_differently_are_told_apart(people: People) -> None:
    spread = np.random.default_rng(4).uniform(0.1, 1.5, 80)
    faces = people(80, 20, D, spread=spread)
    others = people(200, 20, D, spread=np.random.default_rng(5).uniform(0.1, 1.5, 200), seed=1)
    one, other = gram(hidden(faces[:, :10])), gram(faces[:, 10:])
    for name in ("mean", "eigenvalues", "all together"):
        measure = STATISTICS[name]
        taught = fit_likelihood(measure(gram(others[:, :10])), measure(gram(others[:, 10:])), shrinkage=0.05)
        assert linkage(taught(measure(one), measure(other)), draws=9, samples=50).area.auc > 0.85
        assert linkage(nearest_scores(measure(one), measure(other)), draws=9, samples=50).area.auc > 0.85
    assert linkage(gromov_scores(one, other), draws=9, samples=50).area.auc > 0.75


def test_two_photos_among_the_uploads_give_an_account_away(people: People) -> None:
    faces = people(100, 6, D)
    uploads, held = gram(hidden(faces)), gram(faces[:, :2])
    assert found(shared_photo_scores(uploads, held)) > 0.95


def test_variation_is_foretold_where_the_face_shows_it(people: People) -> None:
    # photos whose first number is large vary more
    generator = np.random.default_rng(0)
    spread = generator.uniform(0.1, 1.5, 300)
    faces = people(300, 8, D, spread=spread)
    shown = np.stack([spread, generator.standard_normal(300)], 1)
    mean = STATISTICS["mean"](gram(faces))[:, 0]
    foretell = fit_variation(shown[:200], mean[:200], np.ones(200), ridge=0.1)
    scores = scalar_scores(mean[200:], foretell(shown[200:]), correlation=0.9)
    assert linkage(scores, draws=9, samples=50).area.auc > 0.85
    assert abs(foretell.weights[1]) < 0.2 * abs(foretell.weights[0])


def test_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match="n >= 2"):
        gram([[1.0, 0.0]])
    with pytest.raises(ValueError, match=r"2\.\.6"):
        same_photo_scores(np.zeros((3, 7, 7)), np.zeros((3, 7, 7)))
    with pytest.raises(ValueError, match="shrinkage"):
        fit_likelihood(np.zeros((4, 1)), np.zeros((4, 1)), shrinkage=0)
    with pytest.raises(ValueError, match="correlation"):
        scalar_scores([1.0], [1.0], correlation=1)
    with pytest.raises(ValueError, match="importance"):
        fit_variation([[1.0], [2.0]], [1.0, 2.0], [-1.0, 1.0], ridge=1)

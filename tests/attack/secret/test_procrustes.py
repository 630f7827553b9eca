"""Procrustes: the rotation recovered from known pairs, exactly, in part and under noise."""

import numpy as np
import pytest

from facemin.attack.secret.procrustes import known_map, known_rotation
from tests.attack.secret.conftest import People, turned

D = 16


def test_as_many_pairs_as_dimensions_give_the_rotation_away(people: People) -> None:
    plain = people(D, 1, D)[:, 0]
    secret = turned(D)
    assert np.abs(known_rotation(plain, plain @ secret.T) - secret).max() < 1e-9


def test_fewer_pairs_give_their_own_part_and_nothing_else(people: People) -> None:
    plain, secret = people(5, 1, D)[:, 0], turned(D)
    found = known_rotation(plain, plain @ secret.T)
    assert np.linalg.matrix_rank(found, tol=1e-6) == 5
    assert np.allclose(found @ plain.T, secret @ plain.T)
    across = np.linalg.qr(plain.T, mode="complete")[0][:, 5:]
    assert np.abs(found @ across).max() < 1e-9


def test_one_pair_by_hand() -> None:
    found = known_rotation([[1.0, 0.0]], [[0.0, 1.0]])
    assert np.allclose(found, [[0, 0], [1, 0]])


def test_noisy_pairs_still_take_most_of_an_upload_back(people: People) -> None:
    plain, secret = people(200, 1, D)[:, 0], turned(D)
    noise = 0.2 * np.random.default_rng(1).standard_normal(plain.shape) / 4
    sent = plain @ secret.T + noise
    for back in (known_rotation(plain, sent).T, known_map(plain, sent, ridge=0.01)):
        assert (plain * (plain @ secret.T @ back.T)).sum(1).min() > 0.9


@pytest.mark.parametrize("pair", [([[1.0, 0.0]], [[1.0]]), ([], []), ([[np.nan, 1.0]], [[1.0, 0.0]])])
def test_refuses_what_are_no_pairs(pair: tuple[list[list[float]], list[list[float]]]) -> None:
    with pytest.raises(ValueError, match="plain, uploaded"):
        known_rotation(*pair)


def test_refuses_a_ridge_of_nothing() -> None:
    with pytest.raises(ValueError, match="ridge"):
        known_map([[1.0, 0.0]], [[1.0, 0.0]], ridge=0)

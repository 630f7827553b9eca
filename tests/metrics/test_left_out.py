"""TAR at thresholds of everybody else: by hand, under chance, and where one person sets the tail."""

import numpy as np
import pytest
from numpy.typing import NDArray

from facemin.metrics import left_out_tar, wilson


def test_counts_as_by_hand() -> None:
    scores = np.array([[0.9, 0.1, 0.2, 0.3], [0.1, 0.35, 0.2, 0.3], [0.2, 0.4, 0.3, 0.1], [0.1, 0.3, 0.2, 0.5]])
    # of six pairs of others FAR 0.2 admits one, so that the threshold lies above their second highest score:
    # above 0.3 without the first person, above 0.2, above 0.3 (which the third has and no more), above 0.2
    found = left_out_tar(scores, far=0.2)
    assert found == (0.75, wilson(3, 4), 3, 4)
    scores[1, 1] = 0.2
    assert left_out_tar(scores, far=0.2).hits == 2


def test_chance_is_accepted_as_often_as_the_rate_says() -> None:
    generator = np.random.default_rng(0)
    hits = [left_out_tar(generator.standard_normal((40, 40)), far=0.05).hits for _ in range(100)]
    assert sum(hits) / 4000 == pytest.approx(0.05, abs=0.012)


def test_a_person_does_not_move_the_own_threshold() -> None:
    scores = np.random.default_rng(1).uniform(0, 0.5, (20, 20))
    np.fill_diagonal(scores, 0)
    scores[3, :], scores[:, 3] = 0.7, 0.7
    scores[3, 3] = 0.6
    assert left_out_tar(scores, far=0.01).hits == 1


@pytest.mark.parametrize("scores", [np.zeros((3, 3)), np.zeros((4, 5)), np.full((4, 4), np.nan)])
def test_refuses_what_is_no_table_of_people(scores: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="expected finite numbers"):
        left_out_tar(scores, far=0.01)

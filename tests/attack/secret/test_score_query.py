"""Templates from scores: exact without rounding, by least squares with it."""

import numpy as np
import pytest
from numpy.typing import NDArray

from facemin.attack.secret.score_query import ScoreQuery, rounded

D = 48
TEMPLATE = np.random.default_rng(1).standard_normal(D)
TEMPLATE /= np.linalg.norm(TEMPLATE)


def got(queries: int, step: float) -> float:
    """Cosine of what was recovered to the template."""

    def answer(probes: NDArray[np.float64]) -> NDArray[np.float64]:
        return rounded(probes @ TEMPLATE, step)

    return float(ScoreQuery(queries=queries)(answer, D) @ TEMPLATE)


def test_as_many_scores_as_dimensions_give_the_template() -> None:
    assert got(D, 0) > 0.999
    assert got(D // 4, 0) < 0.8


def test_rounding_costs_queries_and_no_more() -> None:
    assert got(2 * D, 0.01) > 0.97
    assert got(D, 0.1) < got(4 * D, 0.1)
    assert got(40 * D, 0.1) > 0.97


def test_scores_that_say_nothing_give_some_direction() -> None:
    found = ScoreQuery(queries=30)(lambda probes: np.zeros(len(probes)), D)
    assert np.linalg.norm(found) == pytest.approx(1)


def test_rounded_is_to_the_nearest_step() -> None:
    assert rounded([0.117, -0.26], 0.1).tolist() == pytest.approx([0.1, -0.3])
    assert rounded([0.117], 0).tolist() == [0.117]
    with pytest.raises(ValueError, match="step"):
        rounded([0.1], -1)


def test_refuses_settings_and_answers_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="queries, ridge"):
        ScoreQuery(queries=0)
    with pytest.raises(ValueError, match="dimension"):
        ScoreQuery(queries=1)(lambda probes: probes[:, 0], 1)
    with pytest.raises(ValueError, match="expected 3 finite scores"):
        ScoreQuery(queries=3)(lambda probes: probes[:2, 0], 4)

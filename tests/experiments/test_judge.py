"""A recogniser at its own threshold."""

import math
from pathlib import Path

import pytest
import torch

from facemin.evaluation.judge import Judge, Plain, share
from facemin.evaluation.networks import find_recogniser
from facemin.metrics import pair_scores, threshold_at_far, wilson


@pytest.fixture
def faces() -> torch.Tensor:
    return torch.rand(12, 3, 112, 112, generator=torch.Generator().manual_seed(0))


def test_without_people_the_listed_impostors_decide(world: Path, faces: torch.Tensor) -> None:
    network = find_recogniser("one", world / "models")
    impostors = torch.tensor([[0, 1], [2, 3], [4, 5], [6, 7]])
    judge = Judge.calibrate(
        network, name="one", probes=faces[:3], others=faces[3:6], plain=Plain(faces, None, impostors), far=0.25
    )
    rows = network(faces)
    expected = threshold_at_far(pair_scores(rows[impostors[:, 0]], rows[impostors[:, 1]]), far=0.25)
    assert judge.at.threshold == pytest.approx(expected.threshold, abs=1e-6)
    assert judge.at.n_impostor == 4
    torch.testing.assert_close(judge.clean, pair_scores(rows[:3], rows[3:6]), atol=1e-6, rtol=0)
    scores = judge.scores(faces[:3])
    torch.testing.assert_close(scores.original, torch.ones(3, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(scores.other, judge.clean)
    accepted = judge.accepted(torch.tensor([judge.at.threshold, judge.at.threshold - 1e-6, 1.0]))
    assert accepted == (2 / 3, *wilson(2, 3), 3)


def test_a_share_of_nothing_is_no_number() -> None:
    nothing = share(torch.zeros(0, dtype=torch.bool))
    assert nothing.n == 0
    assert all(math.isnan(value) for value in nothing[:3])

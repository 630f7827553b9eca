"""Comparison scores against plain loops."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from facemin.metrics import (
    comparison,
    cross_identity_scores,
    cross_identity_threshold,
    pair_scores,
    threshold_at_far,
)


def unit_rows(n: int, seed: int, size: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(n, size, generator=generator), dim=1)


def test_pair_scores_by_hand() -> None:
    a = torch.tensor([[3.0, 4.0], [1.0, 0.0], [2.0, 0.0]])
    b = torch.tensor([[4.0, 3.0], [0.0, 5.0], [-1.0, 0.0]])
    assert pair_scores(a, b).tolist() == pytest.approx([24 / 25, 0.0, -1.0])
    assert pair_scores(a, b).dtype == torch.float64
    assert float(pair_scores(a, a).max()) <= 1.0


@given(st.integers(2, 40), st.integers(1, 5), st.sampled_from([1, 3, 512]))
@settings(deadline=None)
def test_every_pair_of_different_people_once(n: int, people: int, block: int) -> None:
    embeddings = unit_rows(n, seed=n)
    labels = torch.randint(people, (n,), generator=torch.Generator().manual_seed(people)) * 7 - 3
    expected = sorted(
        float(embeddings[i].double() @ embeddings[j].double())
        for i, j in itertools.combinations(range(n), 2)
        if labels[i] != labels[j]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "BLOCK_ROWS", block)
        scores = cross_identity_scores(embeddings, labels)
    assert scores.sort().values.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("far", [1e-5, 1e-3, 0.1, 0.7])
@pytest.mark.parametrize("block", [16, 512])
def test_the_streamed_threshold_is_the_threshold(far: float, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "BLOCK_ROWS", block)
    embeddings = unit_rows(300, seed=0)
    labels = torch.arange(300) // 3
    every = cross_identity_scores(embeddings, labels)
    assert len(every) == 300 * 299 // 2 - 100 * 3
    assert cross_identity_threshold(embeddings, labels, far=far) == threshold_at_far(every, far=far)


def test_the_streamed_threshold_with_ties() -> None:
    # Two directions only: cosines are 0 or 1, so a third of the pairs ties at the top.
    embeddings = torch.eye(2)[torch.arange(40) % 2]
    labels = torch.arange(40)
    result = cross_identity_threshold(embeddings, labels, far=0.1)
    assert result == threshold_at_far(cross_identity_scores(embeddings, labels), far=0.1)
    assert result.threshold > 1
    assert result.far_measured == 0


def test_bad_input_is_named() -> None:
    rows, labels = unit_rows(4, seed=1), torch.arange(4)
    with pytest.raises(ValueError, match="unit length"):
        cross_identity_scores(rows * 2, labels)
    with pytest.raises(ValueError, match="unit length"):
        cross_identity_scores(rows * math.nan, labels)
    with pytest.raises(ValueError, match="4 integer labels"):
        cross_identity_scores(rows, labels[:3])
    with pytest.raises(ValueError, match="4 integer labels"):
        cross_identity_scores(rows, labels.float())
    with pytest.raises(ValueError, match="at least two identities"):
        cross_identity_threshold(rows, labels * 0, far=0.1)
    with pytest.raises(ValueError, match=r"\(N, D\)"):
        pair_scores(rows, rows[:2])
    with pytest.raises(ValueError, match="b: expected finite rows that are not zero, got 4"):
        pair_scores(rows, rows * 0)

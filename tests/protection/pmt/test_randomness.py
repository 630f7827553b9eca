"""Random numbers by seed and step alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facemin.protection.pmt.optimise import StepContext
from facemin.protection.pmt.randomness import generators, normal


def first(seed: int, step: int) -> float:
    (own,) = generators(StepContext((seed,), torch.tensor([float(step)])))
    return float(own.random())


@given(st.lists(st.tuples(st.integers(0, 2**256 - 1), st.integers(0, 10_000)), min_size=1, max_size=8))
def test_a_row_has_the_same_numbers_in_any_batch(rows: list[tuple[int, int]]) -> None:
    moment = StepContext(tuple(seed for seed, _ in rows), torch.tensor([float(step) for _, step in rows]))
    assert [own.random() for own in generators(moment)] == [first(seed, step) for seed, step in rows]


@pytest.mark.parametrize("bit", [0, 31, 32, 64, 127, 128, 255])
def test_every_bit_of_a_seed_counts(bit: int) -> None:
    assert first(5 ^ (1 << bit), 0) != first(5, 0)


def test_steps_differ_from_one_another_and_from_seeds() -> None:
    seen = {first(seed, step) for seed in (2**255, 2**255 + 1, 2**255 + 2**32) for step in range(50)}
    assert len(seen) == 3 * 50


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_normal_numbers_have_the_shape_and_type_asked_for(dtype: torch.dtype) -> None:
    like = torch.zeros(3, 100, 100, dtype=dtype)
    (own,) = generators(StepContext((7,), torch.zeros(1)))
    numbers = normal(own, like)
    assert (numbers.shape, numbers.dtype) == (like.shape, dtype)
    assert numbers.double().mean().item() == pytest.approx(0, abs=0.02)
    assert numbers.double().std().item() == pytest.approx(1, abs=0.02)

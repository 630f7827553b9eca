"""Learning-rate schedules by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facemin.train.config import CosineSchedule, StepSchedule
from facemin.train.schedule import rate_factor


def test_steps_by_hand() -> None:
    schedule = StepSchedule(kind="step", milestones=(1, 2.5), factor=0.1, warmup=0.5)
    found = [rate_factor(schedule, step, steps_per_epoch=4, steps=12) for step in range(12)]
    assert found == pytest.approx([0.5, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01])


def test_cosine_by_hand() -> None:
    schedule = CosineSchedule(kind="cosine", warmup=1, final=0.2)
    found = [rate_factor(schedule, step, steps_per_epoch=2, steps=6) for step in range(6)]
    half = [0.2 + 0.8 * (1 + math.cos(math.pi * done / 4)) / 2 for done in range(4)]
    assert found == pytest.approx([0.5, 1.0, *half])


@given(st.integers(1, 40), st.integers(2, 30), st.floats(0, 1.5), st.floats(0, 0.9))
def test_cosine_rises_then_falls(per_epoch: int, epochs: int, warmup: float, final: float) -> None:
    schedule = CosineSchedule(kind="cosine", warmup=warmup, final=final)
    steps = per_epoch * epochs
    found = [rate_factor(schedule, step, steps_per_epoch=per_epoch, steps=steps) for step in range(steps)]
    top = found.index(max(found))
    assert all(0 < factor <= 1 for factor in found)
    assert found[: top + 1] == sorted(found[: top + 1])
    assert found[top:] == sorted(found[top:], reverse=True)


@pytest.mark.parametrize("step", [-1, 6])
def test_refuses_a_step_outside(step: int) -> None:
    with pytest.raises(ValueError, match=r"step: expected 0\.\.5"):
        rate_factor(CosineSchedule(kind="cosine"), step, steps_per_epoch=2, steps=6)

"""The learning rate of each step, as a function of the step alone: nothing to save, nothing to go out of step."""

from __future__ import annotations

from math import cos, pi
from typing import TYPE_CHECKING

from facemin.train.config import StepSchedule

if TYPE_CHECKING:
    from facemin.train.config import CosineSchedule


def rate_factor(schedule: StepSchedule | CosineSchedule, step: int, *, steps_per_epoch: int, steps: int) -> float:
    """The factor on the learning rate at a step.

    During the warm-up of W steps it is (step + 1) / W times what the schedule would give at its end.

    Args:
        schedule: which.
        step: from 0 to steps - 1.
        steps_per_epoch: milestones and warm-up count epochs.
        steps: of the whole run.

    Returns:
        A factor in (0, 1] for every step; cosine's last step comes within one step's width of `final`.

    Raises:
        ValueError: a step outside the run.
    """
    if not 0 <= step < steps:
        raise ValueError(f"step: expected 0..{steps - 1}, got {step}")
    warmup = round(schedule.warmup * steps_per_epoch)
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    if isinstance(schedule, StepSchedule):
        passed = sum(step >= round(milestone * steps_per_epoch) for milestone in schedule.milestones)
        return float(rise * schedule.factor**passed)
    done = max(0, step - warmup) / max(1, steps - warmup)
    return rise * (schedule.final + (1 - schedule.final) * (1 + cos(pi * done)) / 2)

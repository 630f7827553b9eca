"""Progress messages and stop requests of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from facemin.train.validation import Validation


class Progress(NamedTuple):
    """Where a run is.

    Attributes:
        step: steps done, of `steps`.
        epoch: epochs done, in part.
        loss: mean over the steps since the last log line; None where this is no log line.
        rate: learning rate of the last step.
        images_per_second: since the last log line, all devices together, evaluations not counted.
        validation: where the step was followed by one.
    """

    step: int
    steps: int
    epoch: float
    loss: float | None
    rate: float
    images_per_second: float | None
    validation: Validation | None


class Outcome(NamedTuple):
    """How a run ended: at which step, whether that was the last, and then its record (first process only)."""

    step: int
    steps: int
    finished: bool
    record: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What a run tells, and is asked; the first process alone tells.

    Args:
        on_step: called after each step, and after the evaluation before the first.
        on_aligned: called with the number of photos aligned and that of all.
        stop: asked between steps; True ends the run after a checkpoint.
    """

    on_step: Callable[[Progress], None] | None = None
    on_aligned: Callable[[int, int], None] | None = None
    stop: Callable[[], bool] | None = None

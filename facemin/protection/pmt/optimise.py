"""The optimisation loop that every protector shares: many images at once, each with its own end.

Images are rows of one batch that stays full: a row whose image is finished is handed out and taken by the next
job, so nobody waits for the slowest image and a folder runs in constant memory. All buffers are made once.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor

    from facemin.protection.pmt.step_rules import StepRule

OnStep: TypeAlias = "Callable[[list[int]], None]"
"""Told, before every step, how many steps each image in the batch has taken."""

ROWS_AT_LEAST = 2
"""A lone image runs as two equal rows: on the CPU, a batch of one takes other kernels, whose last bits differ,
and an optimisation amplifies last bits. From two rows on, convolutions on maps do not care how many there are; linear
layers and convolutions on 1 x 1 maps (squeeze-excitation) do on some machines, so that a key with such layers may give
an image other bytes in another batch (docs/decisions/003)."""


class Job(NamedTuple):
    """One image to make."""

    aim: Tensor | tuple[Tensor, ...]
    """An aligned face (3, 112, 112), float32 in [0, 1], whose features are the targets; or the targets themselves, one
    a key, each of the shape of that key's features. All jobs of a run have the same of the two."""
    start: Tensor
    """Where the optimisation begins, (3, 112, 112); clipped to [0, 1] before the first step."""
    seed: int
    """Of all further randomness of this image."""


@dataclass(frozen=True, kw_only=True)
class OptimisedImage:
    """A protected image and what was spent on it."""

    index: int
    """Position of its job, from 0."""
    pixels: Tensor
    """The protected image, uint8 (3, 112, 112): what is sent and what is judged."""
    steps: int
    """Gradient steps taken."""
    residuals: tuple[float, ...]
    """Relative feature distance that remains to each key, measured on `pixels`."""
    unmet: tuple[int, ...]
    """Positions of the keys whose residual was not met when the steps ran out; those providers may not recognise the
    person. With several keys, it may be that they conflict."""
    seconds: float
    """Wall time in the batch; images share it, so these do not add up to the run's time."""

    def __repr__(self) -> str:
        residuals = ", ".join(f"{value:.3f}" for value in self.residuals)
        return f"<OptimisedImage {self.index}: {self.steps} steps, residual {residuals}, unmet {list(self.unmet)}>"

    @property
    def reached(self) -> bool:
        """Whether every key's residual was met."""
        return not self.unmet


class StepContext(NamedTuple):
    """What an objective with randomness of its own needs: each row's seed and step, whatever the batch."""

    seeds: tuple[int, ...]
    """(B) seeds, one an image."""
    steps: Tensor
    """(B,), float32: steps that each image has taken."""


class LossAndEstimate(NamedTuple):
    """What an objective says of a batch."""

    loss: Tensor
    """(B,), differentiable; each row depends on its own image alone."""
    estimates: Tensor | None
    """(B, M), one column a key, detached: about what `Objective.residuals` would say; None where that is unknown."""


class Objective(Protocol):
    """What protected images have to reach."""

    limits: Tensor
    """(M,): an image is finished once each of its residuals is at most this."""
    period: int
    """Steps from one look at an image's residuals to the next; they are looked at only where the estimates, if there
    are any, are within the limits too."""

    def targets(self, faces: Tensor) -> tuple[Tensor, ...]:
        """What to keep of plain faces (B, 3, 112, 112): tensors whose first dimension is B."""

    def __call__(self, images: Tensor, targets: tuple[Tensor, ...], moment: StepContext) -> LossAndEstimate:
        """Compare images (B, 3, 112, 112) on the 8-bit grid with their targets; this is differentiated."""

    def residuals(self, images: Tensor, targets: tuple[Tensor, ...]) -> Tensor:
        """What decides and is reported, (B, M), without randomness, in float32."""


def descend(
    jobs: Iterable[Job],
    objective: Objective,
    *,
    rule: StepRule,
    steps: int,
    batch: int,
    device: torch.device,
    on_step: OnStep | None = None,
) -> Iterator[OptimisedImage]:
    """Optimise each job's image until its objective is met or `steps` are spent; in order of finishing.

    The loop optimises float images but judges, and differentiates at, their 8-bit rounding: the residual that
    ends an image is that of the bytes which will be sent. Jobs are drawn only when a row is free.

    Args:
        jobs: faces or targets, and starting points; may be a generator that reads photos as it goes.
        objective: loss and residuals.
        rule: how a gradient becomes a step.
        steps: most gradient steps an image may take, at least 0.
        batch: rows of the batch, at least 1.
        device: where to compute.
        on_step: told before every step how many each image in the batch has taken; whatever it raises ends the loop,
            with everything finished handed out before.

    Yields:
        One `OptimisedImage` a job.

    Raises:
        ValueError: when `steps` or `batch` is out of range.
    """
    if steps < 0:
        raise ValueError(f"steps: expected at least 0, got {steps}")
    if batch < 1:
        raise ValueError(f"batch: expected at least 1 row, got {batch}")
    waiting = enumerate(jobs)
    rows = _Rows(objective, rule, max(batch, ROWS_AT_LEAST), device)
    exhausted = False
    while True:
        while not exhausted and len(rows) < batch:
            drawn = list(islice(waiting, batch - len(rows)))
            exhausted = len(drawn) < batch - len(rows)
            rows.admit(drawn)
        if len(rows) == 0:
            return
        if on_step is not None:
            on_step(rows.taken)
        yield from rows.step(steps)


class _Rows:
    """The batch: buffers with one row an image, of which the first `len(self)` are in use.

    A caller may be in torch's inference mode; what takes part in a gradient must not be made in it.
    """

    @torch.inference_mode(mode=False)
    def __init__(self, objective: Objective, rule: StepRule, capacity: int, device: torch.device) -> None:
        self.objective, self.rule, self.device, self.capacity = objective, rule, device, capacity
        shape = (capacity, 3, 112, 112)
        self.images = torch.empty(shape, device=device, memory_format=torch.channels_last).zero_()
        self.judged = torch.zeros_like(self.images)
        self.state = rule.buffers(self.images)
        self.steps = torch.zeros(capacity, device=device)
        self.targets: tuple[Tensor, ...] = ()
        self.indices: list[int] = []
        self.seeds: list[int] = []
        self.began: list[float] = []

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def taken(self) -> list[int]:
        """Steps that each image has taken."""
        return [int(steps) for steps in self.steps[: len(self)].tolist()]

    @torch.inference_mode(mode=False)
    def admit(self, jobs: list[tuple[int, Job]]) -> None:
        """Put jobs into the rows after those in use."""
        if not jobs:
            return
        targets = self._targets([job.aim for _, job in jobs])
        if not self.targets:
            self.targets = tuple(target.new_zeros((self.capacity, *target.shape[1:])) for target in targets)
        first, end = len(self), len(self) + len(jobs)
        for buffer, target in zip(self.targets, targets, strict=True):
            buffer[first:end] = target[: len(jobs)]
        self.images[first:end] = torch.stack([job.start for _, job in jobs]).to(self.device).clamp_(0, 1)
        for buffer in (*self.state, self.steps):
            buffer[first:end] = 0
        self.indices += [index for index, _ in jobs]
        self.seeds += [job.seed for _, job in jobs]
        self.began += [time.perf_counter()] * len(jobs)

    @torch.no_grad()
    def _targets(self, aims: list[Tensor | tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        given = [aim for aim in aims if isinstance(aim, tuple)]
        if given:
            return tuple(torch.stack(column).to(self.device) for column in zip(*given, strict=True))
        faces = torch.stack([aim for aim in aims if not isinstance(aim, tuple)]).to(self.device)
        padded = faces if len(aims) >= ROWS_AT_LEAST else faces.expand(ROWS_AT_LEAST, -1, -1, -1)
        return self.objective.targets(padded)

    @torch.inference_mode(mode=False)
    def step(self, most: int) -> Iterator[OptimisedImage]:
        """Judge every image; hand out those that are finished and move the others by one step."""
        used = len(self)
        rows = max(used, ROWS_AT_LEAST)
        if used < rows:
            for buffer in (self.images, self.steps, *self.targets):
                buffer[used:rows] = buffer[:1]
        judged = torch.mul(self.images[:rows], 255, out=self.judged[:rows]).round_().div_(255)
        leaf = judged.detach().requires_grad_()
        with torch.enable_grad():
            seeds = (*self.seeds, *self.seeds[: rows - used])
            moment = StepContext(seeds, self.steps[:rows])
            progress = self.objective(leaf, tuple(target[:rows] for target in self.targets), moment)
        finished, done = self._finished(progress.estimates, judged, most)
        if len(finished) < used:
            (gradient,) = torch.autograd.grad(progress.loss, leaf, torch.ones_like(progress.loss))
            self.steps += 1
            images, state = self.images[:used], tuple(buffer[:used] for buffer in self.state)
            gradient = gradient[:used].contiguous(memory_format=torch.channels_last)
            self.rule.update_(images, gradient, state, self.steps[:used])
            images.clamp_(0, 1)
        for row in reversed(finished):
            self._drop(row)
        yield from done

    def _finished(self, estimates: Tensor | None, judged: Tensor, most: int) -> tuple[list[int], list[OptimisedImage]]:
        """The rows that end here and what they became: their residuals are met, or their steps are spent."""
        steps = self.steps[: len(self)]
        spent = steps >= most
        due = steps % self.objective.period == 0
        if estimates is not None:
            due &= (estimates[: len(self)] <= self.objective.limits).all(1)
        rows = (due | spent).nonzero().flatten()
        if not len(rows):
            return [], []
        padded = rows if len(rows) >= ROWS_AT_LEAST else rows.expand(ROWS_AT_LEAST)
        with torch.no_grad():
            found = self.objective.residuals(judged[padded], tuple(target[padded] for target in self.targets))
        residuals = found[: len(rows)]
        over = ((residuals <= self.objective.limits).all(1) | spent[rows]).tolist()
        ended = [(row, place) for place, row in enumerate(rows.tolist()) if over[place]]
        return [row for row, _ in ended], [self._done(row, residuals[place]) for row, place in ended]

    def _done(self, row: int, residuals: Tensor) -> OptimisedImage:
        return OptimisedImage(
            index=self.indices[row],
            pixels=self.judged[row].mul(255).round_().to("cpu", torch.uint8).contiguous(),
            steps=int(self.steps[row]),
            residuals=tuple(residuals.tolist()),
            # whatever is not a number is not met
            unmet=tuple((~(residuals <= self.objective.limits)).nonzero().flatten().tolist()),
            seconds=time.perf_counter() - self.began[row],
        )

    def _drop(self, row: int) -> None:
        """Free a row by moving the last one into its place."""
        last = len(self) - 1
        if row != last:
            for buffer in (self.images, self.steps, *self.state, *self.targets):
                buffer[row] = buffer[last]
            self.indices[row], self.seeds[row] = self.indices[last], self.seeds[last]
            self.began[row] = self.began[last]
        self.indices.pop()
        self.seeds.pop()
        self.began.pop()

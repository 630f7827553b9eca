"""Batch sampler: the faces of a step as a function of seed and step alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.utils.data import Sampler


class Draw(NamedTuple):
    """A face drawn: its place among the training faces, and whether it is mirrored."""

    place: int
    flip: bool


def derived_seed(*parts: object) -> int:
    """A seed in [0, 2^63) for one purpose, from what it is for; different parts give unrelated seeds."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


@dataclass(frozen=True, kw_only=True)
class Batches(Sampler[list[Draw]]):
    """The parts of batches that one device computes, from a step on to the run's end.

    Each epoch is a permutation of all faces; what is left after its last whole batch is dropped. Neither the number
    of devices nor that of parts changes which faces a step sees.

    Args:
        images: number of training faces.
        batch: faces a step.
        epochs: of the run.
        seed: of the run.
        flip: whether faces are mirrored at random.
        start: first step to draw.
        accumulate: parts a device takes its share of a batch in.
        rank: of this device.
        devices: how many there are.

    Raises:
        ValueError: fewer faces than a batch, or a batch that does not divide by devices and parts.
    """

    images: int
    batch: int
    epochs: int
    seed: int
    flip: bool = True
    start: int = 0
    accumulate: int = 1
    rank: int = 0
    devices: int = 1

    def __post_init__(self) -> None:
        if self.images < self.batch:
            raise ValueError(f"batch: expected at most {self.images}, the number of training faces, got {self.batch}")
        if self.batch % (self.devices * self.accumulate):
            raise ValueError(
                f"batch: expected a multiple of {self.devices * self.accumulate} "
                f"({self.devices} devices, accumulate = {self.accumulate}), got {self.batch}"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Steps in an epoch."""
        return self.images // self.batch

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.epochs * self.steps_per_epoch

    def __len__(self) -> int:
        """Parts that are still to come."""
        return (self.steps - self.start) * self.accumulate

    def __iter__(self) -> Iterator[list[Draw]]:
        """Draw part after part, step after step."""
        part = self.batch // (self.devices * self.accumulate)
        first, within = divmod(self.start, self.steps_per_epoch)
        for epoch in range(first, self.epochs):
            generator = torch.Generator().manual_seed(derived_seed(self.seed, "order", epoch))
            order = torch.randperm(self.images, generator=generator).tolist()
            flips = torch.rand(self.images, generator=generator) < 0.5
            mirrored = (flips & self.flip).tolist()
            for step in range(within if epoch == first else 0, self.steps_per_epoch):
                for number in range(self.accumulate):
                    begin = step * self.batch + (number * self.devices + self.rank) * part
                    chosen = slice(begin, begin + part)
                    yield [Draw(*drawn) for drawn in zip(order[chosen], mirrored[chosen], strict=True)]

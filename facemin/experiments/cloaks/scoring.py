"""Scores of looked-up photos against a gallery: similarity to one's own enrolment, verdicts, ranks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from facemin.metrics import cross_identity_threshold, ranks, threshold_at_far

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Lookup:
    """What became of looked-up photos.

    Attributes:
        scores: (N,) cosine with the person's own enrolment.
        accepted: by FAR as text, (N,) bool.
        ranks: (N,) of the person among all enrolled, 1 is best.
    """

    scores: Tensor
    accepted: dict[str, Tensor]
    ranks: Tensor

    @classmethod
    def joined(cls, parts: Sequence[Lookup]) -> Lookup:
        """Parts of one measurement, one after the other."""
        return cls(
            scores=torch.cat([part.scores for part in parts]),
            accepted={far: torch.cat([part.accepted[far] for part in parts]) for far in parts[0].accepted},
            ranks=torch.cat([part.ranks for part in parts]),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Gallery:
    """Enrolled people and the thresholds of the recogniser that enrolled them.

    Args:
        enrolled: (P, D) unit rows, the people whose photos are looked up.
        distractors: (D', D) unit rows of others.
        thresholds: by FAR as text.
    """

    enrolled: Tensor
    distractors: Tensor
    thresholds: dict[str, float]

    def look_up(self, probes: Tensor, people: Tensor) -> Lookup:
        """Look up probes (N, D), unit rows, of people (N,), places in `enrolled`."""
        scores = (probes * self.enrolled[people]).sum(1)
        labels = torch.arange(len(self.enrolled) + len(self.distractors))
        return Lookup(
            scores=scores,
            accepted={far: scores >= threshold for far, threshold in self.thresholds.items()},
            ranks=ranks(probes, torch.cat([self.enrolled, self.distractors]), people, labels),
        )


def thresholds_between(probes: Tensor, gallery: Tensor, fars: Sequence[float]) -> dict[str, float]:
    """Thresholds of all pairs of different impostors, (I, D) unit rows as probes and as enrolled, by FAR as text."""
    scores = (probes @ gallery.T)[~torch.eye(len(probes), dtype=torch.bool)]
    return {f"{far:g}": threshold_at_far(scores, far=far).threshold for far in fars}


def thresholds(impostors: Tensor, fars: Sequence[float]) -> dict[str, float]:
    """Thresholds of all pairs of impostors (I, D), unit rows, each of another person, by FAR as text."""
    people = torch.arange(len(impostors))
    return {f"{far:g}": cross_identity_threshold(impostors, people, far=far).threshold for far in fars}

"""A recogniser at its own measured threshold, judging probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch

from facemin.evaluation.verify import embed, on_device
from facemin.metrics import cross_identity_threshold, pair_scores, threshold_at_far, wilson

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.metrics import ImpostorThreshold
    from facemin.models import Recogniser

BATCH = 32


class Plain(NamedTuple):
    """Plain images that a threshold is measured on; see `facemin.experiments.faces.Faces`."""

    images: Tensor
    people: Tensor | None
    impostors: Tensor | None = None


class Scores(NamedTuple):
    """Cosines of judged probes, (N,) float64 each."""

    original: Tensor
    """With the same face, plain."""
    other: Tensor
    """With the second face of the pair, plain."""


class Share(NamedTuple):
    """A share of `n` trials with its 95 % interval; NaN where there was no trial."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Judge:
    """One recogniser, its threshold, and its embeddings of the plain faces that probes are compared with.

    Attributes:
        name: what tables call it.
        recogniser: on the device where it judges.
        at: its threshold at the FAR asked for, and what that was measured on.
        originals: (N, D) unit rows, of the plain probes.
        others: (N, D), of the pairs' second faces.
    """

    name: str
    recogniser: Recogniser
    at: ImpostorThreshold
    originals: Tensor
    others: Tensor

    @classmethod
    def calibrate(
        cls,
        recogniser: Recogniser,
        *,
        name: str,
        probes: Tensor,
        others: Tensor,
        plain: Plain,
        far: float,
        device: torch.device | str = "cpu",
    ) -> Judge:
        """Measure the threshold at a FAR on all cross-identity pairs of plain images, and embed the plain faces.

        Args:
            recogniser: left as it is.
            name: what tables call it.
            probes: plain, (N, 3, 112, 112) in [0, 1].
            others: the second face of each pair, likewise.
            plain: images for the threshold; where people are unknown, the listed impostor pairs decide alone.
            far: false accept rate, a fraction in (0, 1).
            device: where to judge.

        Raises:
            ValueError: no impostor pairs, or a FAR out of range.
        """
        model = on_device(recogniser, device)
        rows = embed_all(model, plain.images)
        if plain.people is not None:
            at = cross_identity_threshold(rows, plain.people, far=far)
        else:
            assert plain.impostors is not None
            at = threshold_at_far(pair_scores(rows[plain.impostors[:, 0]], rows[plain.impostors[:, 1]]), far=far)
        return cls(
            name=name,
            recogniser=model,
            at=at,
            originals=embed_all(model, probes),
            others=embed_all(model, others),
        )

    @property
    def clean(self) -> Tensor:
        """Scores of the plain probes with the second faces, (N,)."""
        return pair_scores(self.originals, self.others)

    def scores(self, probes: Tensor) -> Scores:
        """Compare probes (N, 3, 112, 112) in [0, 1] with the plain faces."""
        rows = embed_all(self.recogniser, probes)
        return Scores(pair_scores(rows, self.originals), pair_scores(rows, self.others))

    def compared(self, images: Tensor, others: Tensor) -> Tensor:
        """Cosines (N,) float64 of images (N, 3, 112, 112) in [0, 1] with other images."""
        return pair_scores(embed_all(self.recogniser, images), embed_all(self.recogniser, others))

    def accepted(self, scores: Tensor) -> Share:
        """Share of scores (N,) that reach the threshold."""
        return share(scores >= self.at.threshold)


def share(flags: Tensor) -> Share:
    """Share of true flags (N,) with Wilson's 95 % interval; NaN for none."""
    n = len(flags)
    if n == 0:
        return Share(float("nan"), float("nan"), float("nan"), 0)
    hits = int(flags.sum())
    low, high = wilson(hits, n)
    return Share(hits / n, low, high, n)


def embed_all(recogniser: Recogniser, faces: Tensor) -> Tensor:
    """Unit rows (N, D) on the CPU of faces (N, 3, 112, 112) in [0, 1], batch after batch."""
    return torch.cat([embed(recogniser, part) for part in torch.split(faces, BATCH)])

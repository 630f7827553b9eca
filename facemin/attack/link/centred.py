"""Off-the-shelf recognisers with the common part of protected images taken away (row T5), without pairs or training.

To a recogniser all protected images look alike: their embeddings share one large direction, which hides what differs.
Whoever has a heap of protected images, of anybody, can subtract it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from facemin.attack.contract import FittedLinker, needed, own_pairs
from facemin.attack.link.student import teach

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.attack.budget import Budget
    from facemin.attack.contract import Knowledge
    from facemin.models import Recogniser


@dataclass(frozen=True, kw_only=True)
class CentredLinking:
    """An ordinary recogniser whose embeddings have the mean of their own kind taken away; nothing is set or trained."""

    def fit(self, knowledge: Knowledge, budget: Budget) -> FittedLinker:
        """See `facemin.attack.contract.Linker`; its heap of protected images is the attacker's own."""
        recogniser = needed(knowledge.recognisers, "another recogniser")[0]
        heap, _ = own_pairs(knowledge, budget.part(0.5))
        public = needed(knowledge.public, "plain faces of other people").faces
        means = [teach(recogniser, images).double().mean(0) for images in (heap, public)]
        protected, plain = (partial(_centred, recogniser, mean) for mean in means)
        words = f"{recogniser.name}, the mean of {len(heap)} protected images taken away"
        return FittedLinker(apply=protected, gallery=plain, words=words, trained_on=len(heap))


def _centred(recogniser: Recogniser, mean: Tensor, images: Tensor) -> Tensor:
    return F.normalize(teach(recogniser, images).double() - mean).float()


def centred_scores(probes: Tensor, gallery: Tensor, *, heap: Tensor, public: Tensor) -> Tensor:
    """Cosines of embeddings that each have the mean of their own kind taken away.

    Args:
        probes: of protected images, (P, D).
        gallery: of plain photos, (G, D).
        heap: of protected images of other people, (N, D), N >= 1.
        public: of plain faces of other people, (M, D), M >= 1.

    Returns:
        (P, G) float64, in [-1, 1].

    Raises:
        ValueError: sizes that do not fit, or nothing to take a mean of.
    """
    sizes = {rows.shape[1:] for rows in (probes, gallery, heap, public)}
    if len(sizes) != 1 or probes.ndim != 2 or not len(heap) or not len(public):
        raise ValueError(
            f"probes, gallery, heap, public: expected (.., D) each, the last two not empty, "
            f"got {[tuple(rows.shape) for rows in (probes, gallery, heap, public)]}"
        )
    sides = [F.normalize(rows.double() - mean.double().mean(0)) for rows, mean in ((probes, heap), (gallery, public))]
    return torch.mm(sides[0], sides[1].T)

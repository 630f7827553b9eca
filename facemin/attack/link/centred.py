"""Off-the-shelf recognisers with the common part of protected images taken away (row T5), without pairs or training.

To a recogniser all protected images look alike: their embeddings share one large direction, which hides what differs.
Whoever has a heap of protected images, of anybody, can subtract it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from facemin.attack.contract import Adversary

if TYPE_CHECKING:
    from torch import Tensor

CENTRING = Adversary(row="T5", knows=("protected image", "recogniser", "public faces"))
"""Who does it: with protected images of anybody, and an ordinary recogniser."""


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

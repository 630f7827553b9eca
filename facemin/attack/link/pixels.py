"""Linking by pixels alone (row T5): a blur, what all images of a kind share taken away, and a correlation.

No network is asked. Two protected images of a person, or a protected and a plain one, correlate where protection leaves
coarse shading in place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from facemin.attack.contract import FittedLinker, needed, own_pairs
from facemin.attack.features import BATCH
from facemin.attack.purify.registry import GaussianBlur
from facemin.autograd.pixels import to_unit

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.attack.budget import Budget
    from facemin.attack.contract import Knowledge

_PROTECTING = 0.5


@dataclass(frozen=True, kw_only=True)
class PixelLinking:
    """Blurred pixels as an embedding.

    Args:
        blurs: one after the other.
    """

    blurs: tuple[GaussianBlur, ...] = (GaussianBlur(sigma=2.0), GaussianBlur(sigma=2.0))

    def fit(self, knowledge: Knowledge, budget: Budget) -> FittedLinker:
        """See `facemin.attack.contract.Linker`; its heap of protected images is the attacker's own."""
        heap, _ = own_pairs(knowledge, budget.part(_PROTECTING))
        public = needed(knowledge.public, "plain faces of other people").faces
        protected, plain = (partial(self._rows, mean=self._blurred(images).mean(0)) for images in (heap, public))
        words = f"pixels after a blur, the mean of {len(heap)} protected images taken away"
        return FittedLinker(apply=protected, gallery=plain, words=words, trained_on=len(heap))

    def _rows(self, images: Tensor, *, mean: Tensor) -> Tensor:
        return F.normalize(self._blurred(images) - mean)

    def _blurred(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W), uint8 or in [0, 1], as rows (N, 3 * H * W) float32."""
        parts = []
        for part in images.split(BATCH):  # type: ignore[no-untyped-call]
            soft = to_unit(part) if part.dtype == torch.uint8 else part
            for blur in self.blurs:
                soft = blur(soft)
            parts.append(soft.flatten(1))
        return torch.cat(parts)

"""Linear attribute probes as attacks: what of a protected image they read (row T2)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from torch.nn.functional import adaptive_avg_pool2d

from facemin.attack.attributes.probe import AttributeProbe
from facemin.attack.contract import FittedProber, needed
from facemin.attack.features import features_of

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.attack.budget import Budget
    from facemin.attack.contract import Knowledge

COARSE, GRID = 28, 7
"""Sides of the thumbnails, and of a key's maps, that a probe reads: of more columns it takes minutes and reads no
more."""


@dataclass(frozen=True, kw_only=True)
class ProbeAttack:
    """A linear probe on thumbnails of protected images, or on what a key shows of them.

    Args:
        reads: the "image", or the key's "features" of it.
        probe: how it is fitted.
    """

    reads: Literal["image", "features"] = "image"
    probe: AttributeProbe = field(default_factory=AttributeProbe)

    def fit(self, knowledge: Knowledge, budget: Budget) -> FittedProber:
        """See `facemin.attack.contract.Prober`; it is fitted where it is applied, on other people's images."""
        del budget
        probe = replace(self.probe, seed=knowledge.seed)
        key = needed(knowledge.key, "the key") if self.reads == "features" else None

        def apply(images: Tensor, labels: Tensor, people: Tensor) -> Tensor:
            if key is None:
                return probe.classes(adaptive_avg_pool2d(images, COARSE).flatten(1), labels, people)
            features = features_of(key, images)[-1]
            maps = adaptive_avg_pool2d(features, GRID) if features.dim() == 4 else features
            return probe.classes(maps.flatten(1), labels, people)

        return FittedProber(apply=apply, words="image" if key is None else f"key {key.manifest.key_id}")

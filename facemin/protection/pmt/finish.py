"""Optimisation that begins with a painted image: small steps that bring it to its target."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from facemin.protection.pmt.degradations import ProviderOperations
from facemin.protection.pmt.method import PMT
from facemin.protection.pmt.step_rules import Adam

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

STEP = 1.0
"""Grey levels; twelve steps of it came closer to targets, steps of six grey levels went away from them."""
STEPS = 200


@dataclass(frozen=True, kw_only=True)
class Painting:
    """Start from images that were painted for the targets, by the seed of each.

    Args:
        images: uint8 RGB (112, 112, 3).
    """

    needs_face: ClassVar[bool] = False

    images: Mapping[int, NDArray[np.uint8]] = field(repr=False)

    def __call__(self, face: Tensor, seed: int) -> Tensor:
        """See `Initialisation`."""
        del face
        planes = np.ascontiguousarray(self.images[seed].transpose(2, 0, 1), dtype=np.float32)
        return torch.from_numpy(planes) / 255


def finishing(images: Mapping[int, NDArray[np.uint8]], *, residual: float | None) -> PMT:
    """The method that finishes painted images.

    Args:
        images: by `target_seed` of each.
        residual: see `PMT`.
    """
    return PMT(
        rule=Adam(step=STEP),
        start=Painting(images=images),
        transform=ProviderOperations(),
        steps=STEPS,
        residual=residual,
    )

"""Relative distance of features, differentiable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def relative_distance(features: Tensor, targets: Tensor) -> Tensor:
    """Relative distance of features to their targets, per row: ||a - b|| / ||b||; what a key's residual bounds.

    Args:
        features: (B, *shape).
        targets: the plain faces' features, (B, *shape).

    Returns:
        (B,), 0 where equal; differentiable there too, and finite for a zero target.
    """
    difference, reference = (features - targets).flatten(1), targets.flatten(1)
    tiny = torch.finfo(features.dtype).tiny
    # the root's slope is infinite at 0, and an image can be there
    squared = difference.square().sum(1).clamp_min(tiny)
    distance: Tensor = squared.sqrt() / reference.norm(dim=1).clamp_min(tiny)
    return distance

"""Visible change of a cloak by structural dissimilarity: its measure, its weight in a loss, a mask scaled to a budget.

Source: Chow, Hu, Huang and Liu, Personalized Privacy Protection Mask Against Unauthorized Facial Recognition, 2024
(Chameleon): DSIM = (1 - SSIM) / 2, its weight halved and doubled as DSIM lies below or above tau. Scaling is ours.
"""

from __future__ import annotations

import torch
from torch import Tensor

from facemin.metrics import ssim

_LARGEST_WEIGHT = 129.0
"""Outside [1 / 129, 129] the weight starts again at 1."""
_HALVINGS = 14
_LARGEST_SCALE = 4.0


def dsim(cloaked: Tensor, plain: Tensor) -> Tensor:
    """Structural dissimilarity (B,) of images (B, 3, H, W) in [0, 1]: (1 - SSIM) / 2, Gaussian window."""
    return (1 - ssim(cloaked, plain, window="gaussian")) / 2


def adapted(weight: float, visible: float, tau: float) -> float:
    """The weight of visible change for the next epoch, by its mean in this one."""
    if visible <= 0.9 * tau:
        weight /= 2
    elif visible >= 1.1 * tau:
        weight *= 2
    return weight if 1 / _LARGEST_WEIGHT <= weight <= _LARGEST_WEIGHT else 1.0


def to_budget(change: Tensor, plain: Tensor, *, tau: float, bound: float) -> Tensor:
    """As much of a change, or as many times it, as has a mean DSIM of tau.

    Args:
        change: (1, 3, H, W), in units of [0, 1].
        plain: images (N, 3, H, W) in [0, 1] that it is added to.
        tau: budget.
        bound: largest magnitude of any value of what comes of it.
    """
    with torch.no_grad():
        low, high = 0.0, _LARGEST_SCALE
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            visible = _in_grey_levels((middle * change).clamp(-bound, bound), plain)
            low, high = (middle, high) if visible <= tau else (low, middle)
        return (low * change).clamp(-bound, bound)


def _in_grey_levels(change: Tensor, plain: Tensor) -> float:
    rounded = (change * 255).round() / 255
    return float(dsim((plain + rounded).clamp(0, 1), plain).mean())

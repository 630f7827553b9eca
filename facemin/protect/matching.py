"""The objective of PMT and MR-PMT: the protected image's features equal the plain face's, for every key."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from facemin.keys import relative_distance
from facemin.protect.steps import Moment, Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from facemin.keys import Key
    from facemin.models.onnx import OnnxModule


class FeatureMatching:
    """Sum over keys of the relative feature distance ||f_i(x~) - f_i(x)|| / ||f_i(x)||.

    Source: PMT Eq. 7 for one key and Eq. 8 for several. Dividing by the plain face's norm makes keys with
    features of different size count alike; for one key it changes nothing, since every step rule is scale-free.

    Args:
        keys: at least one.
        residual: the distance to reach for every key; each key's own when None.
        device: where to compute.

    Raises:
        ValueError: when there is no key, or the residual is negative.
    """

    def __init__(self, keys: Sequence[Key], *, residual: float | None, device: torch.device) -> None:
        if not keys:
            raise ValueError("keys: expected at least one provider key, got none")
        if residual is not None and not 0 <= residual <= 2:
            raise ValueError(f"residual: expected in [0, 2], got {residual}")
        self.shallow = tuple(_on(key.shallow, device) for key in keys)
        limits = [key.manifest.residual if residual is None else residual for key in keys]
        self.limits = torch.tensor(limits, device=device)

    def targets(self, faces: Tensor) -> tuple[Tensor, ...]:
        """Each key's features of plain faces (B, 3, 112, 112)."""
        return tuple(shallow(faces) for shallow in self.shallow)

    def __call__(self, images: Tensor, targets: tuple[Tensor, ...], moment: Moment) -> Progress:
        """See `steps.Objective`; no randomness of its own."""
        del moment
        distances = [
            relative_distance(shallow(images), target) for shallow, target in zip(self.shallow, targets, strict=True)
        ]
        residuals = torch.stack(distances, 1)
        return Progress(residuals.sum(1), residuals.detach())


def _on(shallow: OnnxModule, device: torch.device) -> OnnxModule:
    """The module there; a copy where it would have to move, since a key may serve several devices at once."""
    at_home = all(buffer.device == device for buffer in shallow.buffers())
    return shallow if at_home else copy.deepcopy(shallow).to(device)

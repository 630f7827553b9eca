"""Shared steps of person-specific masks: faces in, a bounded sign-gradient change out, faded so that no edge shows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from facemin.autograd.pixels import to_tensor, to_unit
from facemin.face import SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facemin.cloak.surrogates import Team

_SHAPE = (SIDE, SIDE, 3)
_TINY = 1e-30


def person_faces(faces: NDArray[np.uint8], *, mirrored: bool = False) -> Tensor:
    """Aligned faces of one person, uint8 (N, 112, 112, 3), as (N, 3, 112, 112) in [0, 1]; then their mirror images.

    Raises:
        ValueError: no face, or another shape or type.
    """
    if faces.dtype != np.uint8 or faces.ndim != 4 or faces.shape[1:] != _SHAPE or not len(faces):
        raise ValueError(f"faces: expected uint8 (N, {SIDE}, {SIDE}, 3) with N >= 1, got {faces.dtype} {faces.shape}")
    plain = to_unit(to_tensor(faces))
    return torch.cat([plain, plain.flip(3)]) if mirrored else plain


def displaced(change: Tensor, count: int, pixels: float, dice: np.random.Generator) -> Tensor:
    """A change (1, 3, 112, 112) as it lies on `count` faces whose landmarks were found a little off, each otherwise.

    Shift, turn and scale are drawn so that each moves the crop's border by `pixels` (standard deviation), and the
    change is read bilinearly, as where it is laid over a photo. A mask that holds on average over them depends less on
    where exactly it lies on the photos that it was learnt from.

    Source: Athalye, Engstrom, Ilyas and Kwok, Synthesizing robust adversarial examples, 2018 (expectation over
    transformation).
    """
    if not pixels:
        return change.expand(count, -1, -1, -1)
    across, down, turn, scale = dice.normal(0, 2 * pixels / SIDE, (4, count))
    matrices = np.stack([1 + scale, -turn, across, turn, 1 + scale, down], 1).reshape(count, 2, 3).astype(np.float32)
    shape = [count, *change.shape[1:]]
    grid = F.affine_grid(torch.from_numpy(matrices).to(change.device), shape, align_corners=False)
    return F.grid_sample(change.expand(shape), grid, align_corners=False)


def window(taper: int) -> Tensor:
    """Weights (1, 1, 112, 112) in [0, 1] that fade to 0 within `taper` pixels of the border (half a cosine).

    A change that ends in a step would show as a square around the face.
    """
    places = torch.arange(SIDE, dtype=torch.float32)
    inwards = torch.minimum(places, SIDE - 1 - places) + 0.5
    line = torch.where(inwards < taper, 0.5 - 0.5 * torch.cos(math.pi * inwards / max(taper, 1)), 1.0)
    return (line[:, None] * line)[None, None]


def started(step: float, seed: int) -> Tensor:
    """A change (1, 3, 112, 112) drawn evenly from [-step, step], the same for the same seed."""
    drawn = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed))).uniform(-step, step, (1, 3, SIDE, SIDE))
    return torch.from_numpy(drawn.astype(np.float32))


def plain_embeddings(team: Team, faces: Tensor) -> list[Tensor]:
    """Unit embeddings (N, D) of plain faces by each of a team, without gradients."""
    with torch.no_grad():
        return team(faces.to(team.device))


@dataclass(kw_only=True)
class Ascent:
    """Steps of the gradient's sign with momentum, clipped to the bound.

    Source: Dong et al., Boosting adversarial attacks with momentum, 2018.

    Args:
        step: of each value.
        bound: largest magnitude of any value.
        momentum: share of the earlier gradients, each in units of its mean magnitude; 0 for the last one alone.
    """

    step: float
    bound: float
    momentum: float = 0.0
    _gathered: Tensor | float = field(default=0.0, init=False)

    def __call__(self, change: Tensor, value: Tensor) -> Tensor:
        """One step that raises `value`, a number computed from `change` (1, 3, 112, 112) with `requires_grad`."""
        (slope,) = torch.autograd.grad(value, change)
        self._gathered = self.momentum * self._gathered + slope / slope.abs().mean().clamp_min(_TINY)
        return (change.detach() + self.step * self._gathered.sign()).clamp(-self.bound, self.bound)


def grey_levels(change: Tensor) -> NDArray[np.int8]:
    """A change (1, 3, 112, 112) in units of [0, 1] as whole grey levels (112, 112, 3)."""
    levels = (change[0].detach().cpu() * 255).round().to(torch.int8)
    return np.ascontiguousarray(levels.permute(1, 2, 0).numpy())

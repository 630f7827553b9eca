"""The face from a mask without DC (row T3): slopes are known, so they are integrated; only offsets are missing.

A block of the upsampled face is about one pixel, so its low AC coefficients are about the face's slopes there. Their
integral is the solution of Poisson's equation; exactly, it is the least-squares preimage of the kept channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from facemin.ahm.masking.frequency import BLOCK, FACE, FREQUENCIES, axis_maps, channels_of, to_rgb, to_ycbcr, transposed
from facemin.attack.contract import Adversary

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.ahm.masking.mask import Mask


@dataclass(frozen=True, kw_only=True)
class Integration:
    """Integrate masked faces with the mask in hand: which channel is which, and its statistics.

    Used are the channels that vary along one axis only, (0, v) and (u, 0); the others say the same again. Were every
    block kept, their normal equations would be G0 x H + H x G0 with G0 = A_0^T A_0 and H the sum of the other
    A_v^T A_v, which the generalised eigenvectors of H and G0 solve at once; where blocks are left out, that solution
    leads conjugate gradients.

    Args:
        steps: of conjugate gradients, at most.
        tolerance: squared norm of what is left, relative to that at the start, at which a batch ends.
    """

    adversary: ClassVar[Adversary] = Adversary(row="T3", knows=("masked face", "mask", "public faces"))

    steps: int = 60
    tolerance: float = 1e-7

    def __call__(self, masked: Tensor, mask: Mask, *, mean: Tensor) -> Tensor:
        """Reconstruct faces.

        Args:
            masked: what `mask` gave, (B, *mask.shape).
            mask: of upsampled blocks.
            mean: the mean of public faces, (1, 3, 112, 112) in [0, 1]: where it begins, and so what becomes of the
                offsets, which no kept channel knows.

        Returns:
            (B, 3, 112, 112) in [0, 1].

        Raises:
            ValueError: a mask of plain blocks, whose DC cannot be had from its neighbours, or
                that keeps no channel along an axis; masked faces of another shape.
        """
        if mask.blocks != "upsampled":
            raise ValueError(f"mask: expected one of upsampled blocks, got {mask.blocks}")
        if tuple(masked.shape[1:]) != mask.shape:
            raise ValueError(f"masked: expected (B, {', '.join(map(str, mask.shape))}), got {tuple(masked.shape)}")
        used = _along_axes(mask)
        channels, every = tuple(mask.channels[place] for place in used), mask.every
        known = mask.unstandardise(masked)[:, used]
        start = to_ycbcr(mean).to(masked).expand(len(masked), -1, -1, -1)
        rest = transposed(known - channels_of(start, channels, every=every), channels, every=every)
        solve = _Leading(channels, every, rest)
        direction = solve(rest)
        found, first, left = torch.zeros_like(rest), _product(rest, rest), _product(rest, direction)
        for _ in range(self.steps):
            if bool((_product(rest, rest) <= self.tolerance * first).all()):
                break
            applied = transposed(channels_of(direction, channels, every=every), channels, every=every)
            step = left / _product(direction, applied).clamp_min(1e-30)
            found = found + step * direction
            rest = rest - step * applied
            led, before = solve(rest), left
            left = _product(rest, led)
            direction = led + left / before.clamp_min(1e-30) * direction
        return to_rgb(start + found).clamp(0, 1)


def _along_axes(mask: Mask) -> list[int]:
    """Places in the mask of the channels that vary along one axis only, and of DC where it was kept."""
    places = [place for place, channel in enumerate(mask.channels) if 0 in divmod(channel % FREQUENCIES, BLOCK)]
    if not places:
        raise ValueError("mask: expected channels (0, v) or (u, 0) among those kept, got none")
    return places


class _Leading:
    """The approximate solution of the normal equations: exact where all blocks are kept."""

    def __init__(self, channels: tuple[int, ...], every: int, like: Tensor) -> None:
        maps = axis_maps(torch.float64, torch.device("cpu"))[:, ::every]
        squares = maps.transpose(1, 2) @ maps
        varying = sorted({max(divmod(channel % FREQUENCIES, BLOCK)) for channel in channels} - {0})
        flat, slopes = squares[0], squares[varying].sum(0)
        # blocks that are left out leave pixels that no DC sees
        flat = flat + 0.1 * torch.eye(FACE, dtype=torch.float64) * flat.diagonal().mean()
        lower = torch.linalg.cholesky(flat)
        half = torch.linalg.solve_triangular(lower, slopes, upper=False)
        values, vectors = torch.linalg.eigh(torch.linalg.solve_triangular(lower, half.T, upper=False))
        self.vectors = torch.linalg.solve_triangular(lower.T, vectors, upper=True).to(like)
        both = values[:, None] + values[None]
        # no slope tells the offset
        self.factors = torch.where(both > 1e-6 * both.max(), 1 / both.clamp_min(1e-12), 0.0).to(like)

    def __call__(self, planes: Tensor) -> Tensor:
        vectors = self.vectors
        solved: Tensor = vectors @ (self.factors * (vectors.T @ planes @ vectors)) @ vectors.T
        return solved


def _product(one: Tensor, other: Tensor) -> Tensor:
    return (one * other).sum((1, 2, 3), keepdim=True)

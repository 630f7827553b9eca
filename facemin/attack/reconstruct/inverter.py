"""Inverter network (RecFace): a U-Net from feature maps, or from an image, to the face."""

from __future__ import annotations

import itertools
from math import log2
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from facemin.attack.geometry import SIDE, Geometry, sampling_grid, spread

if TYPE_CHECKING:
    from torch import Tensor

BOTTOM = 7
"""Side of the smallest maps."""


class Inverter(nn.Module):
    """Features (B, C, h, w), vectors (B, C) or images (B, 3, 112, 112) to faces (B, 3, 112, 112) in [0, 1].

    The input is laid onto the face first, by the geometry that the attacker measured on the key. Maps of more than
    56 x 56 have their detail folded into channels, so that all the work is done on 56 x 56 and below.

    Source: PMT, section 6.1 (RecFace, "we modified the Unet"), and Ronneberger et al. 2015; layers and sizes are
    ours, for the paper gives none.

    Args:
        shape: of one input, (C, h, w) or (C,).
        geometry: where its places lie on the face; evenly spread when None.
        width: channels at 56 x 56; twice as many at each halving, at most 4 times.
        depth: residual blocks at each size, on each side.

    Raises:
        ValueError: another shape, or a setting below 1.
    """

    mean: Tensor
    scale: Tensor
    grid: Tensor

    def __init__(
        self, shape: tuple[int, ...], *, geometry: Geometry | None = None, width: int = 48, depth: int = 1
    ) -> None:
        super().__init__()
        if len(shape) not in (1, 3) or min(shape) < 1:
            raise ValueError(f"shape: expected (C, h, w) or (C,) of one input, got {shape}")
        if width < 1 or depth < 1:
            raise ValueError(f"width, depth: expected at least 1, got {width}, {depth}")
        self.shape = tuple(shape)
        channels, height, across = shape if len(shape) == 3 else (shape[0], 1, 1)
        geometry = geometry or spread(height, across)
        self.register_buffer("mean", torch.zeros(channels, 1, 1))
        self.register_buffer("scale", torch.ones(channels, 1, 1))
        pixels = min(geometry.down, geometry.across)
        sampled = max(SIDE // 2 ** round(log2(max(pixels, 1.0))), BOTTOM)
        self.fold = 2 if sampled == SIDE else 1
        self.fits = geometry == spread(sampled, sampled)
        self.register_buffer("grid", sampling_grid(geometry, height, across, sampled))
        sides = [side for side in (56, 28, 14, BOTTOM) if side <= sampled]
        above = [side for side in (56, 28, 14, BOTTOM) if side > sampled]
        widths = {side: width * min(56 // side, 4) for side in (56, 28, 14, BOTTOM)}
        self.stem = nn.Conv2d(channels * self.fold**2 + 2, widths[sides[0]], 3, padding=1)
        self.down = nn.ModuleList(_blocks(widths[side], depth) for side in sides)
        self.shrink = nn.ModuleList(
            nn.Conv2d(widths[a], widths[b], 3, stride=2, padding=1) for a, b in itertools.pairwise(sides)
        )
        self.grow = nn.ModuleList(
            nn.Conv2d(widths[b], 4 * widths[a], 1) for a, b in reversed(list(itertools.pairwise(sides)))
        )
        self.merge = nn.ModuleList(nn.Conv2d(2 * widths[side], widths[side], 1) for side in reversed(sides[:-1]))
        self.up = nn.ModuleList(_blocks(widths[side], depth) for side in reversed(sides[:-1]))
        ladder = [sides[0], *reversed(above)]
        self.rise = nn.ModuleList(
            nn.Sequential(nn.Conv2d(widths[a], 4 * widths[b], 1), nn.PixelShuffle(2), _blocks(widths[b], depth))
            for a, b in itertools.pairwise(ladder)
        )
        self.paint = nn.Conv2d(widths[56], 12, 3, padding=1)
        nn.init.zeros_(self.paint.weight)
        nn.init.constant_(self.paint.bias, 0.5)  # type: ignore[arg-type]
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def standardise(self, inputs: Tensor) -> None:
        """Take mean and deviation of each channel of inputs (N, C, h, w) or (N, C) for what the network subtracts."""
        maps = inputs.float().flatten(2) if inputs.dim() == 4 else inputs.float()[..., None]
        self.mean.copy_(maps.mean((0, 2))[:, None, None])
        self.scale.copy_(1 / maps.std((0, 2)).clamp_min(1e-4)[:, None, None])

    def forward(self, inputs: Tensor) -> Tensor:
        """Faces; in training their values are not clipped.

        Raises:
            ValueError: inputs of another shape.
        """
        if tuple(inputs.shape[1:]) != self.shape:
            raise ValueError(f"inputs: expected (B, {', '.join(map(str, self.shape))}), got {tuple(inputs.shape)}")
        x = self._laid_on_face(inputs)
        kept = []
        for level, blocks in enumerate(self.down):
            x = blocks(self.stem(x) if level == 0 else self.shrink[level - 1](x))
            kept.append(x)
        kept.pop()
        for grow, merge, blocks in zip(self.grow, self.merge, self.up, strict=True):
            x = blocks(merge(torch.cat([F.pixel_shuffle(grow(x), 2), kept.pop()], 1)))
        for rise in self.rise:
            x = rise(x)
        faces = F.pixel_shuffle(self.paint(x), 2)
        return faces if self.training else faces.clamp(0, 1)

    def _laid_on_face(self, inputs: Tensor) -> Tensor:
        maps = inputs[..., None, None] if inputs.dim() == 2 else inputs
        maps = (maps.float() - self.mean) * self.scale
        grid = self.grid.expand(len(maps), -1, -1, -1)
        if not self.fits:
            with torch.autocast(maps.device.type, enabled=False):
                maps = F.grid_sample(maps, grid, padding_mode="border", align_corners=False)
        maps = F.pixel_unshuffle(maps, self.fold)
        side = maps.shape[2]
        place = torch.linspace(-1, 1, side, device=maps.device, dtype=maps.dtype)
        places = torch.stack([place[:, None].expand(side, side), place[None].expand(side, side)])
        both = torch.cat([maps, places.expand(len(maps), -1, -1, -1)], 1)
        return both.contiguous(memory_format=torch.channels_last)


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        # a residual network without normalisation trains where each block begins as nothing
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = x + self.second(F.relu(self.first(x)))
        return total


def _blocks(channels: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(_Residual(channels) for _ in range(depth)))

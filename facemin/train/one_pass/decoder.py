"""Trainable decoder from a target on the sphere and noise to a face-sized image."""

from __future__ import annotations

from itertools import pairwise
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from facemin.protection.one_pass.decoder_graph import (
    BASE,
    EPSILON,
    Convolution,
    DecoderSize,
    decoder_graph,
    enlarging,
    groups,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto
    from torch import Tensor

SIZES: dict[str, DecoderSize] = {
    "small": DecoderSize(widths=(64, 48, 24, 12), blocks=(1, 1, 1, 0), style=128),
    "medium": DecoderSize(widths=(160, 80, 40, 20), blocks=(1, 1, 1, 0)),
    "large": DecoderSize(widths=(256, 128, 64, 32), blocks=(2, 1, 1, 0), style=384, layers=3),
}
"""About one, four and ten million parameters for a space of 64 dimensions."""


class Decoder(nn.Module):
    """Paint images for targets: G(t, n).

    The last map has 56 x 56 pixels and is enlarged bilinearly: what an image carries beyond that is lost to a blur or
    a shift anyway, and layers at full resolution would cost more than all the others together.

    Args:
        target: dimensions of the space.
        noise: dimensions of the noise, which decides which of a target's many images is painted.
        size: widths and depths.
    """

    enlarging: Tensor

    def __init__(self, *, target: int, noise: int, size: DecoderSize) -> None:
        super().__init__()
        self.target, self.noise, self.size = target, noise, size
        code = target + noise
        inner = [code] + [size.style] * size.layers
        self.styles = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(inner))
        self.dense = nn.Linear(size.style + code, BASE * BASE * size.widths[0])
        self.blocks = nn.ModuleList(Block(convolution, size.style) for convolution in size.convolutions)
        self.colours = nn.Conv2d(size.widths[-1], 3, 3, padding=1)
        self.register_buffer("enlarging", torch.from_numpy(enlarging()), persistent=False)

    def forward(self, targets: Tensor, noise: Tensor) -> Tensor:
        """Paint images.

        Args:
            targets: (B, target), rows of unit length.
            noise: (B, noise), standard normal.

        Returns:
            (B, 3, 112, 112) in [0, 1], RGB.
        """
        return self.enlarge(self.coarse(targets, noise))

    def coarse(self, targets: Tensor, noise: Tensor) -> Tensor:
        """The image before it is enlarged, (B, 3, 56, 56) in [0, 1]; see `forward`."""
        code = torch.cat([targets * sqrt(self.target), noise], 1)
        style = F.silu(self.styles[0](code))
        for layer in self.styles[1:]:
            style = style + F.silu(layer(style))
        maps = self.dense(torch.cat([style, code], 1)).view(-1, BASE, BASE, self.size.widths[0])
        # channels last from the start, as convolutions on a processor like it
        maps = maps.permute(0, 3, 1, 2)
        for block in self.blocks:
            maps = block(maps, style)
        return torch.sigmoid(self.colours(maps))

    def enlarge(self, coarse: Tensor) -> Tensor:
        """Bilinear enlargement, (B, 3, 56, 56) -> (B, 3, 112, 112)."""
        matrix = self.enlarging.to(coarse.dtype)
        enlarged: Tensor = matrix @ coarse.contiguous() @ matrix.T
        return enlarged

    def to_graph(self) -> ModelProto:
        """The decoder as `protection.decoder_graph` has it, its weights rounded to float16."""
        weights: dict[str, NDArray[np.float32]] = {}
        for name, tensor in self.state_dict().items():
            value = tensor.detach().float().cpu().contiguous().numpy()
            if name.startswith("dense."):
                parts = value.reshape(BASE * BASE, self.size.widths[0], -1).swapaxes(0, 1)
                value = np.ascontiguousarray(parts).reshape(value.shape)
            if ".modulation." in name:
                scale, shift = np.split(value, 2)
                weights[name.replace("modulation", "scale")] = scale + (1 if name.endswith("bias") else 0)
                weights[name.replace("modulation", "shift")] = shift
            else:
                weights[name] = value
        return decoder_graph(self.size, weights, target=self.target, noise=self.noise)


class Block(nn.Module):
    """A 3 x 3 convolution, group normalisation, and a scale and shift of each channel by the style.

    Args:
        settings: of the convolution.
        style: length of the style.
    """

    def __init__(self, settings: Convolution, style: int) -> None:
        super().__init__()
        width = settings.width
        self.doubles = settings.doubles
        self.convolution = nn.Conv2d(settings.inputs, width * (4 if settings.doubles else 1), 3, padding=1)
        normalisation = nn.GroupNorm(groups(width), width, eps=EPSILON, affine=False)
        self.normalisation = normalisation if settings.normalises else nn.Identity()
        self.modulation = nn.Linear(style, 2 * width)
        nn.init.normal_(self.modulation.weight, std=0.3 / sqrt(style))
        nn.init.zeros_(self.modulation.bias)

    def forward(self, maps: Tensor, style: Tensor) -> Tensor:
        """(B, inputs, H, W) and (B, style) -> (B, width, H, W), or twice the side."""
        made = self.convolution(maps)
        if self.doubles:
            made = F.pixel_shuffle(made, 2).contiguous(memory_format=torch.channels_last)
        scale, shift = self.modulation(style)[:, :, None, None].chunk(2, 1)
        made = F.silu(self.normalisation(made) * (1 + scale) + shift)
        return made if self.doubles else maps + made

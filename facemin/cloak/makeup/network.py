"""An untrained encoder and decoder whose decoder is conditioned on where which makeup goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

WIDTHS = (16, 32, 48)


class MakeupLayer(nn.Module):
    """Instance normalisation, scaled and shifted by a map of the makeup (SPADE).

    Source: Park, Liu, Wang and Zhu, Semantic image synthesis with spatially-adaptive normalization, 2019.
    """

    def __init__(self, width: int, makeup: int) -> None:
        super().__init__()
        self.affine = nn.Conv2d(makeup, 2 * width, 1)

    def forward(self, values: Tensor, makeup: Tensor) -> Tensor:
        """Values (B, C, h, w) under a map (B, M, H, W)."""
        near = F.interpolate(makeup, size=values.shape[2:], mode="bilinear", align_corners=False)
        scale, shift = self.affine(near).chunk(2, 1)
        normal: Tensor = F.instance_norm(values)
        made: Tensor = normal * (1 + scale) + shift
        return made


class MakeupNetwork(nn.Module):
    """Face and makeup map to a change of the face, in [-1, 1]; an hour-glass with skips, as in deep image priors.

    Source: Ulyanov, Vedaldi and Lempitsky, Deep image prior, 2018 (an untrained network as the prior).

    Args:
        makeup: channels of the makeup map.
    """

    def __init__(self, makeup: int) -> None:
        super().__init__()
        first, middle, last = WIDTHS
        self.down = nn.ModuleList(
            nn.Conv2d(given, made, 3, stride=2, padding=1)
            for given, made in ((3 + makeup, first), (first, middle), (middle, last))
        )
        self.up = nn.ModuleList(
            nn.Conv2d(given, made, 3, padding=1)
            for given, made in ((last + middle, middle), (middle + first, first), (first + 3, first))
        )
        self.layers = nn.ModuleList(MakeupLayer(width, makeup) for width in (middle, first, first))
        self.last = nn.Conv2d(first, 3, 1)

    def forward(self, faces: Tensor, makeup: Tensor) -> Tensor:
        """Faces (B, 3, 112, 112) in [0, 1] and their makeup (B, M, 112, 112) to (B, 3, 112, 112)."""
        values, skips = torch.cat([faces, makeup], 1), [faces]
        for layer in self.down:
            values = F.leaky_relu(layer(values), 0.2)
            skips.append(values)
        for skip, layer, condition in zip(skips[-2::-1], self.up, self.layers, strict=True):
            values = F.interpolate(values, size=skip.shape[2:], mode="bilinear", align_corners=False)
            values = F.leaky_relu(condition(layer(torch.cat([values, skip], 1)), makeup), 0.2)
        return torch.tanh(self.last(values))

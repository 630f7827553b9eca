"""Layers of the native families; `facemin.train.families.export` knows exactly these and torch's own."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

FACE = 112
"""Side of an aligned face, in pixels."""


class Scale(nn.Module):
    """Faces in [0, 1] to (255 x - 127.5) / 128, about [-1, 1]; any shape.

    The two numbers are buffers, so they follow the module's device and type, but no weights: a checkpoint has none.

    Source: SphereFace (Liu et al. 2017), section 4.1, and everybody after it.
    """

    factor: Tensor
    offset: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("factor", torch.tensor(255 / 128), persistent=False)
        self.register_buffer("offset", torch.tensor(127.5 / 128), persistent=False)

    def forward(self, faces: Tensor) -> Tensor:
        """Scale faces."""
        return faces * self.factor - self.offset


class CentreCrop(nn.Module):
    """The middle (height, width) of (B, C, 112, 112), all in pixels.

    Of an aligned 112 x 112 face the middle 96 columns are the 112 x 96 face of SphereFace's alignment, whose template
    lies eight pixels further left.

    Raises:
        ValueError: a size that is not even, or not within 2 to 112.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        if len(size) != 2 or any(side % 2 or not 2 <= side <= FACE for side in size):
            raise ValueError(f"input_size: expected an even height and width from 2 to {FACE}, got {size}")
        self.size = size
        self.starts = ((FACE - size[0]) // 2, (FACE - size[1]) // 2)

    def forward(self, faces: Tensor) -> Tensor:
        """Crop faces."""
        (top, left), (height, width) = self.starts, self.size
        return faces[:, :, top : top + height, left : left + width]


class Residual(nn.Module):
    """body(x) + shortcut(x), of the same shape (B, C, H, W).

    Source: He et al. 2015, section 3.2.
    """

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body = body
        self.shortcut = shortcut or nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Add the two branches."""
        total: Tensor = self.body(features) + self.shortcut(features)
        return total


class SqueezeExcite(nn.Module):
    """Each channel of (B, C, H, W) times its gate in (0, 1), which all channels' means decide.

    Source: Hu et al. 2018, section 3, with its reduction of 16.
    """

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(channels // reduction, 1)
        self.gate = chain(
            squeeze=nn.AdaptiveAvgPool2d(1),
            reduce=nn.Conv2d(channels, hidden, 1, bias=False),
            relu=nn.ReLU(),
            expand=nn.Conv2d(hidden, channels, 1, bias=False),
            sigmoid=nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Gate features."""
        gated: Tensor = features * self.gate(features)
        return gated


def chain(**stages: nn.Module) -> nn.Sequential:
    """Modules one after another, each under its name."""
    return nn.Sequential(OrderedDict(stages))


def convolve(
    fan_in: int, fan_out: int, kernel: int, *, stride: int = 1, groups: int = 1, padding: int | None = None
) -> nn.Conv2d:
    """A convolution without a bias; padded to the same size (before its stride) unless told otherwise."""
    padding = kernel // 2 if padding is None else padding
    return nn.Conv2d(fan_in, fan_out, kernel, stride, padding, groups=groups, bias=False)


LAST_SIDE = 7
"""Of the feature map that an embedding's matrix reads, where a residual network ends in one."""


def unit_body(fan_in: int, fan_out: int, *, stride: int = 1) -> nn.Sequential:
    """The branch of the improved residual unit: BN-conv-BN-PReLU-conv-BN.

    Source: Deng et al. 2019 (ArcFace), section 3.1, after Han et al. 2017.
    """
    return chain(
        bn1=nn.BatchNorm2d(fan_in),
        conv1=convolve(fan_in, fan_out, 3),
        bn2=nn.BatchNorm2d(fan_out),
        prelu=nn.PReLU(fan_out),
        conv2=convolve(fan_out, fan_out, 3, stride=stride),
        bn3=nn.BatchNorm2d(fan_out),
    )


def embedding_of_map(channels: int, embedding_size: int, *, dropout: float) -> nn.Sequential:
    """Feature maps (B, channels, 7, 7) to embeddings (B, embedding_size): BN-dropout-matrix-BN.

    Source: Deng et al. 2019 (ArcFace), section 3.1, setting E.

    Raises:
        ValueError: a dropout that is no share below 1.
    """
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout: expected a share in [0, 1), got {dropout!r}")
    return chain(
        bn=nn.BatchNorm2d(channels),
        dropout=nn.Dropout(dropout),
        flatten=nn.Flatten(),
        linear=nn.Linear(channels * LAST_SIDE**2, embedding_size),
        features=nn.BatchNorm1d(embedding_size),
    )


def channels_at(width: float, *counts: int) -> tuple[int, ...]:
    """Channel counts times `width`, rounded, at least 4 each.

    Source: MobileNet (Howard et al. 2017), section 3.3, the width multiplier.

    Raises:
        ValueError: when `width` is not within 1/64 to 4.
    """
    if not 1 / 64 <= width <= 4:
        raise ValueError(f"width: expected a factor from 1/64 to 4, got {width!r}")
    return tuple(max(4, round(count * width)) for count in counts)


def check_embedding(size: int) -> None:
    """Raises ValueError where an embedding's length is not a positive integer."""
    if not isinstance(size, int) or size < 1:
        raise ValueError(f"embedding_size: expected an integer of 1 or more, got {size!r}")


def initialise(network: nn.Sequential) -> nn.Sequential:
    """Draw a network's weights from torch's default generator, and hand the network back.

    Convolutions as He et al. 2015b (arXiv 1502.01852, equation 14), matrices as Glorot and Bengio 2010, biases 0. Batch
    normalisations start as the identity and PReLU at 0.25 (He et al. 2015b), as torch makes them.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.out_channels * module.weight[0, 0].numel() // module.groups
            nn.init.normal_(module.weight, std=(2 / fan_out) ** 0.5)
        elif isinstance(module, nn.Linear):
            nn.init.xavier_normal_(module.weight)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    return network

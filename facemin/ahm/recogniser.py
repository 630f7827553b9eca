"""A recogniser of masked faces: residual groups that halve early, and the whole from plain face to unit embedding."""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facemin.train.families.layers import (
    LAST_SIDE,
    Residual,
    chain,
    check_embedding,
    convolve,
    embedding_of_map,
    initialise,
    unit_body,
)

if TYPE_CHECKING:
    from facemin.ahm.masking.mask import Mask

WIDTHS = (64, 128, 256)


def masked_resnet(
    shape: tuple[int, int, int],
    *,
    embedding_size: int = 128,
    widths: tuple[int, ...] = WIDTHS,
    dropout: float = 0.2,
) -> nn.Sequential:
    """Masked faces (B, *shape) to embeddings (B, embedding_size), not normalised.

    One group a width: a 3 x 3 convolution and a residual unit. As many groups as it takes to come to 7 x 7 halve the
    resolution, the last ones. The embedding is ArcFace's (BN, dropout, matrix, BN).

    Args:
        shape: of a masked face, (C, h, h), h a power of two times 7.
        embedding_size: length of an embedding.
        widths: channels of the groups.
        dropout: share of the last features that training drops, in [0, 1).

    Raises:
        ValueError: a side that these groups do not bring to 7, or another setting outside its range.
    """
    check_embedding(embedding_size)
    channels, side, _ = shape
    halvings = log2(side / LAST_SIDE)
    if halvings != int(halvings) or not 0 <= halvings <= len(widths):
        raise ValueError(f"widths: expected as many as bring a side of {side} to {LAST_SIDE} by halves, got {widths}")
    if not widths or min(widths) < 1:
        raise ValueError(f"widths: expected channels of 1 or more, got {widths}")
    stages: dict[str, nn.Module] = {}
    before = channels
    for place, width in enumerate(widths):
        stride = 2 if len(widths) - place <= halvings else 1
        stages[f"group{place + 1}"] = chain(
            conv=convolve(before, width, 3, stride=stride),
            bn=nn.BatchNorm2d(width),
            prelu=nn.PReLU(width),
            unit=Residual(unit_body(width, width)),
        )
        before = width
    stages["embedding"] = embedding_of_map(before, embedding_size, dropout=dropout)
    return initialise(chain(**stages))


class MaskedRecogniser(nn.Module):
    """Mask and network as one: faces to unit embeddings, as any recogniser; differentiable.

    Args:
        mask: of the one who trained the network.
        network: masked faces to embeddings.
    """

    def __init__(self, mask: Mask, network: nn.Module) -> None:
        super().__init__()
        self.mask, self.network = mask, network
        self.requires_grad_(False).eval()

    def forward(self, faces: Tensor) -> Tensor:
        """Faces (B, 3, 112, 112), RGB in [0, 1], to rows of unit length (B, D)."""
        return self.of_masked(self.mask(faces))

    def of_masked(self, masked: Tensor) -> Tensor:
        """The same from masked faces (B, C, h, h)."""
        return F.normalize(self.network(masked.contiguous(memory_format=torch.channels_last)).float())

    def train(self, mode: bool = True) -> MaskedRecogniser:
        """Use never changes a recogniser."""
        del mode
        return super().train(False)

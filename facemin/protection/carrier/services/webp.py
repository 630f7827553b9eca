"""A differentiable stand-in for lossy WebP: 4 x 4 transforms under one step size, and a filter over block edges.

Source: RFC 6386 (VP8), sections 9.6 and 14.1 (step sizes), 14.3 (transform), 15 (loop filter); and libwebp's step size
of a quality. Left out are prediction from neighbours, which moves what is rounded and not by how much, and the
encoder's choices by rate. How near it comes to libwebp is measured by
tests/protection/carrier/services/test_pipelines.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from facemin.protection.pmt.jpeg import rounded_blocks, subsampled

BLOCK = 4
FIRST, SLOPE = 2.0, 0.5
"""Step of the orthonormal transform, in grey levels, at index 0 of VP8's 128 and by which it grows to about index 60:
half of the format's own steps, whose transform has a gain of 2."""
EDGE = 0.25
"""Weight of both neighbours together in the stand-in for the loop filter, within a pixel of an edge."""


def webp(images: Tensor, quality: Tensor) -> Tensor:
    """What is left of images after lossy WebP, nearly.

    Args:
        images: (B, 3, H, W), RGB in [0, 1]; H and W multiples of 8.
        quality: (B,), in [1, 100], as libwebp counts it.

    Returns:
        (B, 3, H, W), clipped to [0, 1].
    """
    steps = step_size(quality).to(images).view(-1, 1, 1).expand(-1, BLOCK, BLOCK)
    return subsampled(
        images,
        light=lambda plane: _smoothed(rounded_blocks(plane, steps)),
        chroma=lambda planes: rounded_blocks(planes, steps),
    )


def step_size(quality: Tensor) -> Tensor:
    """Step of the orthonormal transform in grey levels for qualities (B,), float32."""
    share = quality.float() / 100
    linear = torch.where(share < 0.75, share * (2 / 3), 2 * share - 1)
    return FIRST + SLOPE * 127 * (1 - linear.clamp(min=0) ** (1 / 3))


def _smoothed(planes: Tensor) -> Tensor:
    """Planes (B, 1, H, W) with the two pixels at each inner block edge mixed, along rows and columns."""
    for axis in (2, 3):
        at_edge = torch.zeros(planes.shape[axis])
        at_edge[BLOCK:-1:BLOCK], at_edge[BLOCK - 1 : -1 : BLOCK] = EDGE / 2, EDGE / 2
        share = at_edge.to(planes).view([-1, 1] if axis == 2 else [1, -1])
        # the first and the last pixel, whose neighbour here is from the other side, have no share
        across = planes.roll(1, axis), planes.roll(-1, axis)
        planes = planes * (1 - 2 * share) + share * (across[0] + across[1])
    return planes

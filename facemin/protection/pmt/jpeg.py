"""JPEG as a differentiable function: the loss of a real encoder, without its bits.

Source: ITU-T T.81, annex A.3 (transform, quantisation) and annex K.1 (tables), with libjpeg's scaling of the tables
by quality and its 4:2:0 subsampling of colour, both Pillow's defaults.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import cos, pi, sqrt

import torch
from torch import Tensor
from torch.nn import functional as F

Coded = Callable[[Tensor], Tensor]
"""Planes as they are after coding, of the same shape."""

BLOCK = 8
# annex K.1, tables K.1 and K.2
LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99, 99, 99, 99, 99, 99, 99, 99),) * 4,
)
# BT.601, as JFIF wants it
TO_YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


def jpeg(images: Tensor, quality: Tensor) -> Tensor:
    """What is left of images after JPEG, to within rounding of a real encoder and decoder.

    Rounding has no slope of its own: a coefficient that survives passes the gradient on, one that becomes zero
    blocks it.

    Args:
        images: (B, 3, H, W), RGB in [0, 1]; H and W multiples of 16.
        quality: (B,), in [1, 100], as Pillow counts it.

    Returns:
        (B, 3, H, W), clipped to [0, 1].
    """
    return subsampled(
        images,
        light=lambda plane: rounded_blocks(plane - 128, step_sizes(_table(images, LUMINANCE), quality)) + 128,
        chroma=lambda planes: rounded_blocks(planes, step_sizes(_table(images, CHROMINANCE), quality)),
    )


def subsampled(images: Tensor, *, light: Coded, chroma: Coded) -> Tensor:
    """What is left of images after coding with colour at half the resolution (4:2:0), as JPEG and WebP have it.

    Args:
        images: (B, 3, H, W), RGB in [0, 1]; H and W even.
        light: codes the plane of brightness, (B, 1, H, W) in grey levels.
        chroma: codes both planes of colour, (B, 2, H / 2, W / 2).

    Returns:
        (B, 3, H, W), clipped to [0, 1].
    """
    planes = to_ycbcr(images)
    half = chroma(F.avg_pool2d(planes[:, 1:], 2))
    # libjpeg's "fancy" upsampling is the triangle filter that bilinear interpolation is at a factor of 2
    colour = F.interpolate(half, scale_factor=2, mode="bilinear", align_corners=False)
    return to_rgb(torch.cat([light(planes[:, :1]), colour], 1))


def to_ycbcr(images: Tensor) -> Tensor:
    """RGB in [0, 1] (B, 3, H, W) as light and two colours in grey levels, the colours around 0."""
    colour = torch.tensor(TO_YCBCR, dtype=images.dtype, device=images.device)
    return torch.einsum("cd,bdhw->bchw", colour, images * 255)


def to_rgb(planes: Tensor) -> Tensor:
    """Light and two colours in grey levels (B, 3, H, W) as RGB, clipped to [0, 1]."""
    back = torch.tensor(TO_RGB, dtype=planes.dtype, device=planes.device)
    return (torch.einsum("cd,bdhw->bchw", back, planes) / 255).clamp(0, 1)


def step_sizes(table: Tensor, quality: Tensor) -> Tensor:
    """How coarsely each coefficient is rounded, as libjpeg scales a table.

    Args:
        table: at quality 50, (8, 8).
        quality: (B,), in [1, 100].

    Returns:
        (B, 8, 8), whole numbers in [1, 255] of the table's type.
    """
    quality = quality.to(table.dtype)
    # libjpeg divides integers
    scale = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
    return ((table * scale.view(-1, 1, 1) + 50) / 100).floor().clamp(1, 255)


def _table(like: Tensor, table: tuple[tuple[int, ...], ...]) -> Tensor:
    return torch.tensor(table, dtype=like.dtype, device=like.device)


def rounded_blocks(planes: Tensor, steps: Tensor) -> Tensor:
    """Planes after the rounding of their blocks' cosine transforms; what becomes zero passes no gradient.

    Args:
        planes: (B, C, H, W), H and W multiples of the block's side K.
        steps: what each coefficient is rounded to multiples of, (B, K, K).
    """
    rows, columns, height, width = planes.shape
    side = steps.shape[-1]
    dct = _dct(side).to(planes)
    steps = steps.view(rows, 1, 1, 1, side, side)
    blocks = planes.reshape(rows, columns, height // side, side, width // side, side).transpose(3, 4)
    scaled = dct @ blocks @ dct.T / steps
    kept = scaled.detach().round()
    passed = kept + (scaled - scaled.detach()) * (kept != 0)
    restored = dct.T @ (passed * steps) @ dct
    return restored.transpose(3, 4).reshape(planes.shape)


@cache
@torch.inference_mode(mode=False)  # kept, and has to serve gradients later
def _dct(side: int) -> Tensor:
    """The orthonormal DCT-II of `side` points, (side, side)."""
    rows = [
        [(sqrt(1 / side) if u == 0 else sqrt(2 / side)) * cos((2 * x + 1) * u * pi / (2 * side)) for x in range(side)]
        for u in range(side)
    ]
    return torch.tensor(rows)

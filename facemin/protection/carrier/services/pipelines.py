"""Random transform T of the canvas: what strangers' services do to a photo before they recognise it.

A service resizes the photo, or its own crop of it, encodes it as JPEG or WebP, once or twice, and corrects colours;
its aligner errs (rotation, scale, shift, a little shear for perspective), and samples. Each image's and step's
randomness comes from its own seed.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from facemin.image.separable import bilinear_weights, blur_weights
from facemin.protection.carrier.canvas import SIDE, to_canvas
from facemin.protection.carrier.services.webp import webp
from facemin.protection.pmt.jpeg import BLOCK, TO_YCBCR, jpeg

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from facemin.protection.carrier.settings import Pipelines

MULTIPLE = 2 * BLOCK
"""Sides that the encoders take are multiples of this."""
SIDES = (80, 112, 128, 144, 176)
"""Sides that canvases are resized to, multiples of `MULTIPLE`: in a photo of 160 px the canvas has 61."""
SIGMAS = (0.4, 0.7, 1.0)
"""Gaussian blurs, as shares of the strongest."""
NARROWEST, WIDEST = 0.66, 1.1
"""Sides of a service's square crop as shares of the canvas: the face as a detector bounds it with a margin of 0 to
40 %; and wider than anything that an aligner looks at."""


def decoded(pipelines: Pipelines, canvas: Tensor, draws: list[np.random.Generator]) -> Tensor:
    """The photo as a service decodes it: canvases (B, 3, SIDE, SIDE) in [0, 1], each by its own draws."""
    return torch.stack([_served(pipelines, image, own) for image, own in zip(canvas, draws, strict=True)])


def _served(pipelines: Pipelines, image: Tensor, own: np.random.Generator) -> Tensor:
    """One canvas (3, SIDE, SIDE) after a service's operations."""
    side, sigma = SIDE, 0.0
    if own.random() < pipelines.resized:
        side = int(own.choice(SIDES))
    elif own.random() < pipelines.blurred:
        sigma = pipelines.blur * float(own.choice(SIGMAS))
    if side != SIDE or sigma:
        shrinking = _shrinking(side, sigma)
        image = shrinking @ image @ shrinking.T
    for time in range(int(own.choice(3, p=pipelines.encodings))):
        # what is encoded again was cut anew, so that its blocks begin elsewhere
        moved = tuple(map(int, own.integers(1, 8, 2))) if time else (0, 0)
        image = _encoded(pipelines, image, moved, own)
    if side != SIDE:
        growing = _growing(side)
        image = growing @ image @ growing.T
    image = _coloured(pipelines, image, own)
    if own.random() < pipelines.cropped:
        image = image * _inside(own)
    if own.random() < pipelines.noisy:
        noise = own.standard_normal((3, SIDE, SIDE), dtype=np.float32) * own.uniform(0, pipelines.noise)
        image = image + torch.from_numpy(noise.astype(np.float32))
    return image


def _encoded(pipelines: Pipelines, image: Tensor, moved: tuple[int, ...], own: np.random.Generator) -> Tensor:
    """An image (3, S, S) after an encoder whose grid of blocks is moved down and right."""
    quality = torch.tensor([int(own.integers(pipelines.quality, 96))])
    encode = webp if own.random() < pipelines.webp else jpeg
    if not any(moved):
        return encode(image[None], quality)[0]
    side, (down, right) = image.shape[-1], moved
    # a whole number of the encoders' blocks larger, by pixels of its own border
    padded = F.pad(image[None], (right, MULTIPLE - right, down, MULTIPLE - down), mode="replicate")
    return encode(padded, quality)[0, :, down : down + side, right : right + side]


def _coloured(pipelines: Pipelines, image: Tensor, own: np.random.Generator) -> Tensor:
    """An image (3, S, S) with each colour's gain and offset, and its saturation, changed."""
    gains, offsets = own.normal(1, pipelines.colour, 3), own.normal(0, pipelines.colour / 3, 3)
    grey = np.tile(TO_YCBCR[0], (3, 1))
    mixing = np.diag(gains) @ (grey + own.normal(1, 3 * pipelines.colour) * (np.eye(3) - grey))
    matrix, offset = (torch.from_numpy(each.astype(np.float32)) for each in (mixing, offsets[:, None]))
    return (matrix @ image.flatten(1) + offset).clamp(0, 1).view_as(image)


def _inside(own: np.random.Generator) -> Tensor:
    """1 in a service's crop of the canvas, 0 outside of it, (SIDE, SIDE)."""
    side = own.uniform(NARROWEST, WIDEST) * SIDE
    centre = SIDE / 2 + own.normal(0, SIDE / 50, 2)
    y, x = (np.abs(np.arange(SIDE) + 0.5 - middle) < side / 2 for middle in centre)
    return torch.from_numpy((y[:, None] & x[None]).astype(np.float32))


def crops(
    pipelines: Pipelines,
    canvas: Tensor,
    crop: NDArray[np.float64],
    side: int,
    draws: list[np.random.Generator] | None,
) -> Tensor:
    """Crops of canvases by aligners that differ, (B, 3, side, side).

    Args:
        pipelines: how far they differ.
        canvas: (B, 3, SIDE, SIDE).
        crop: matrix (2, 3) from [-1, 1] between a crop's edges to frame pixels.
        side: of the crops, pixels.
        draws: of each image's randomness; None for the crop as it is meant.
    """
    matrices = [to_canvas(crop)] if draws is None else [to_canvas(_misaligned(pipelines, crop, own)) for own in draws]
    theta = torch.tensor(np.stack(matrices), dtype=torch.float32).expand(len(canvas), -1, -1)
    grid = F.affine_grid(theta, [len(canvas), 3, side, side], align_corners=False)
    return F.grid_sample(canvas, grid.to(canvas), mode="bilinear", padding_mode="border", align_corners=False)


def _misaligned(pipelines: Pipelines, crop: NDArray[np.float64], own: np.random.Generator) -> NDArray[np.float64]:
    turn = math.radians(float(own.normal(0, pipelines.rotation)))
    scale = math.exp(float(own.normal(0, pipelines.scale)))
    across, along, slant = own.normal(0, pipelines.shear, 3)
    cosine, sine = math.cos(turn) * scale, math.sin(turn) * scale
    turned = np.array([[cosine, -sine], [sine, cosine]]) @ np.array([[1 + across, slant], [slant, 1 + along]])
    moved = crop[:, 2] + own.normal(0, pipelines.shift, 2)
    return np.concatenate([turned @ crop[:, :2], moved[:, None]], 1)


@cache
@torch.inference_mode(mode=False)  # kept, and has to serve gradients later
def _shrinking(side: int, sigma: float) -> Tensor:
    """A blur of the canvas's lines and their resizing, (side, SIDE)."""
    return torch.from_numpy(bilinear_weights(SIDE, side) @ blur_weights(SIDE, sigma))


@cache
@torch.inference_mode(mode=False)
def _growing(side: int) -> Tensor:
    """Resizing back to the canvas, (SIDE, side)."""
    return torch.from_numpy(bilinear_weights(side, SIDE))

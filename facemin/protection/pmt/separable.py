"""The matrices of `image.separable` as tensors, and their differentiable use on faces.

Matrices are kept; one first asked for in inference mode has to serve gradients later, so none is made in that mode.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from facemin.image.separable import bilinear_weights, blur_weights, gathered

SIDE = 112


@cache
@torch.inference_mode(mode=False)
def blur_matrix(sigma: float) -> Tensor:
    """Gaussian blur of `sigma` pixels, (112, 112) float32: Gaussian weights out to 4 sigma, of sum 1."""
    return torch.from_numpy(blur_weights(SIDE, sigma))


@cache
@torch.inference_mode(mode=False)
def shift_matrix(pixels: int) -> Tensor:
    """Shift by whole pixels towards higher indices, (112, 112) float32."""
    return torch.from_numpy(gathered(SIDE, np.array([-pixels]), np.ones(1)))


@cache
@torch.inference_mode(mode=False)
def resize_matrix(side: int) -> Tensor:
    """Resize to `side` pixels, at most 112, and back to 112, (112, 112) float32.

    Bilinear, with the triangle widened by the factor on the way down, as Pillow's `BILINEAR` does.
    """
    return torch.from_numpy(bilinear_weights(side, SIDE)) @ torch.from_numpy(bilinear_weights(SIDE, side))


def apply(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Apply a matrix to the rows and one to the columns of each image.

    Args:
        images: (B, 3, 112, 112).
        rows: (B, 112, 112), acts along the height.
        columns: (B, 112, 112), acts along the width.

    Returns:
        (B, 3, 112, 112), differentiable in `images`.
    """
    turned: Tensor = rows.unsqueeze(1) @ images.contiguous() @ columns.mT.unsqueeze(1)
    return turned

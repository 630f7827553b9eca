"""Reading a photo at arbitrary places: bilinear, anti-aliased, without ever holding the photo as floats."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Border = Literal["zero", "replicate"]


def check_photo(pixels: Tensor) -> None:
    """Refuse, with a ValueError, whatever is not a uint8 RGB photo (3,H,W) of at least one pixel."""
    if pixels.dtype != torch.uint8 or pixels.ndim != 3 or pixels.shape[0] != 3 or 0 in pixels.shape:
        raise ValueError(f"pixels: expected a uint8 RGB photo (3, H, W), got {pixels.dtype} {tuple(pixels.shape)}")


def lattice(height: int, width: int) -> Tensor:
    """The x and y of every pixel centre, (H,W,2) float64."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack((x, y), -1).double()


def transform(matrix: Tensor, places: Tensor) -> Tensor:
    """Places (..., 2) under an affine matrix (2,3), float64."""
    return places @ matrix[:, :2].T + matrix[:, 2]


def bounds(places: Tensor, margin: int, height: int, width: int) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of the pixels around `places` (h,w,2): within the image, and never empty."""
    low = places.amin((0, 1)).floor() - margin
    high = places.amax((0, 1)).ceil() + margin + 1
    left, right = int(low[0].clamp(0, width - 1)), int(high[0].clamp(0, width))
    top, bottom = int(low[1].clamp(0, height - 1)), int(high[1].clamp(0, height))
    return top, max(bottom, top + 1), left, max(right, left + 1)


def sample(image: Tensor, matrix: Tensor, places: Tensor, *, border: Border) -> Tensor:
    """An image's values at the places that a similarity transform sends a lattice to.

    Bilinear, pixel centres at integers (as `cv2.warpAffine`). Where the image is at least twice as fine as
    the lattice, whole-number blocks of its pixels are averaged first, so that the last step shrinks by less
    than two. Only the region under the places is read.

    Args:
        image: (3,H,W), any type.
        matrix: similarity transform from lattice to image, (2,3) float64.
        places: lattice positions, (h,w,2) float64.
        border: outside the image lies zero, or the nearest edge pixel.

    Returns:
        (3,h,w) float32 in the image's own range.
    """
    targets = transform(matrix, places)
    factor = max(1, math.floor(math.hypot(float(matrix[0, 0]), float(matrix[1, 0]))))
    top, bottom, left, right = bounds(targets, 2 * factor, *image.shape[1:])
    # Blocks lie on the image's own grid, so that parts sampled one by one fit together.
    top, left = top - top % factor, left - left % factor
    small = _reduce(image[:, top:bottom, left:right], factor, border)
    origin = torch.tensor([left, top], dtype=torch.float64) + (factor - 1) / 2
    size = torch.tensor([small.shape[2], small.shape[1]], dtype=torch.float64)
    grid = (2 * (targets - origin) / factor + 1) / size - 1
    padding = "zeros" if border == "zero" else "border"
    values: Tensor = F.grid_sample(
        small[None], grid[None].float(), mode="bilinear", padding_mode=padding, align_corners=False
    )
    return values[0]


def _reduce(region: Tensor, factor: int, border: Border) -> Tensor:
    """Means of `factor` x `factor` blocks, (3,ceil(H/factor),ceil(W/factor)) float32."""
    if factor == 1:
        return region.float()
    height, width = region.shape[1:]
    rows, columns = -(-height // factor), -(-width // factor)
    # Row by row into one accumulator, so that a face filling the photo never exists as floats in full.
    total = torch.zeros(3, rows, width)
    for row in range(factor):
        lines = region[:, row::factor]
        total[:, : lines.shape[1]] += lines
        if lines.shape[1] < rows and border == "replicate":
            total[:, -1] += region[:, -1]
    total = F.pad(total, (0, columns * factor - width), mode="constant" if border == "zero" else "replicate")
    return total.view(3, rows, columns, factor).sum(-1) / factor**2

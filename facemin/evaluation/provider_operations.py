"""Provider operations on uploads: JPEG, resizing, blur, shift and noise by real software on 8-bit images.

These are for judging. Their differentiable counterparts, which a protector may train against, know nothing of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from facemin.autograd.pixels import to_grid, to_tensor, to_unit
from facemin.image import decode
from facemin.runtime.ranges import ranges

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
@ranges({"integer [1, 95]": "quality"})
class Jpeg:
    """JPEG by Pillow's encoder with its own defaults, among them colour at half the resolution (4:2:0).

    Args:
        quality: as Pillow counts it, 1 to 95.
    """

    quality: int

    def __call__(self, images: Tensor) -> Tensor:
        """Encode and decode images (B, 3, H, W) in [0, 1]; the result lies on the 8-bit grid."""
        return _each(images, self._one)

    def _one(self, pixels: Tensor) -> Tensor:
        file = BytesIO()
        _picture(pixels).save(file, "JPEG", quality=self.quality)
        return to_tensor(decode(file.getvalue()).pixels)


@dataclass(frozen=True, kw_only=True)
@ranges({"(0, 1)": "factor"})
class Resize:
    """Scaled down and up again by Pillow, bilinear.

    Args:
        factor: of both sides, in (0, 1).
    """

    factor: float

    def __call__(self, images: Tensor) -> Tensor:
        """Resize images (B, 3, H, W) in [0, 1] and back; the result lies on the 8-bit grid."""
        return _each(images, self._one)

    def _one(self, pixels: Tensor) -> Tensor:
        height, width = pixels.shape[1:]
        smaller = (max(1, round(width * self.factor)), max(1, round(height * self.factor)))
        small = _picture(pixels).resize(smaller, Image.Resampling.BILINEAR)
        back = small.resize((width, height), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(back)).permute(2, 0, 1)


@dataclass(frozen=True, kw_only=True)
@ranges({"(0, inf)": "deviation"})
class GaussianNoise:
    """Gaussian noise on every value, drawn from the image's own bytes: the same image gets the same noise.

    Args:
        deviation: standard deviation, in units of [0, 1].
    """

    deviation: float

    def __call__(self, images: Tensor) -> Tensor:
        """Add noise to images (B, 3, H, W) in [0, 1]; the result is clipped and lies on the 8-bit grid."""
        return _each(images, self._one)

    def _one(self, pixels: Tensor) -> Tensor:
        seed = int.from_bytes(hashlib.sha256(pixels.numpy().tobytes()).digest(), "little")
        generator = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
        noise = torch.from_numpy(generator.standard_normal(tuple(pixels.shape), dtype=np.float32))
        return to_grid((to_unit(pixels) + self.deviation * noise).clamp(0, 1))


@dataclass(frozen=True, kw_only=True)
@ranges({"integer [1, inf)": "pixels"})
class Shift:
    """Shifted down and to the right, the border repeated: a detector that found the face a little off.

    Args:
        pixels: along each axis, at least 1.
    """

    pixels: int

    def __call__(self, images: Tensor) -> Tensor:
        """Shift images (B, 3, H, W) of any range; differentiable."""
        padded = F.pad(images, (self.pixels, 0, self.pixels, 0), mode="replicate")
        return padded[..., : images.shape[2], : images.shape[3]]


def _picture(pixels: Tensor) -> Image.Image:
    return Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())


def _each(images: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a change of 8-bit images (3, H, W) to each of a batch, wherever it lies."""
    if not len(images):
        return images
    changed = [change(to_grid(image.detach().cpu()).contiguous()) for image in images]
    return to_unit(torch.stack(changed)).to(images)

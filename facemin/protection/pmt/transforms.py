"""Data augmentation T of the enhanced perturbation: what may happen to an image before a recogniser sees it.

Source: PMT section 5.3 and Algorithm 2, lines 5 and 6; Table IV names random noise, random affine and their mix, and
gives none of their strengths. `provider_operations` has the one that our default uses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import torch
from torch.nn import functional as F

from facemin.protection.pmt.degradations import ProviderOperations
from facemin.protection.pmt.randomness import generators, normal
from facemin.runtime.ranges import ranges

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.protection.pmt.optimise import StepContext


class Transform(Protocol):
    """A random, differentiable change of images; frozen settings, no state of its own."""

    def __call__(self, images: Tensor, moment: StepContext) -> Tensor:
        """Change images (B, 3, 112, 112) in [0, 1]; each row by its own seed and step.

        The same moment changes other images in the same way, so that T can act on a face as on its protected image.
        """


@dataclass(frozen=True, kw_only=True)
@ranges({"[0, 1]": "most"})
class RandomNoise:
    """Gaussian noise on every value, its strength drawn anew each step.

    Args:
        most: largest standard deviation, in units of [0, 1]; each step draws one in [0, most].
    """

    most: float = 0.1

    def __call__(self, images: Tensor, moment: StepContext) -> Tensor:
        """See `Transform`; the result is not clipped, since clipping would stop the gradient there."""
        noise = torch.stack(
            [
                normal(own, image) * float(own.uniform(0, self.most))
                for own, image in zip(generators(moment), images.detach(), strict=True)
            ]
        )
        return images + noise


@dataclass(frozen=True, kw_only=True)
@ranges({"[0, 180]": "degrees", "[0, 112]": "shift", "[0, 0.9]": "scale"})
class RandomAffine:
    """Rotation, scaling and shift about the centre, bilinear, border repeated.

    Args:
        degrees: largest rotation either way.
        shift: largest shift either way along each axis, in pixels.
        scale: largest relative change of size either way.
    """

    degrees: float = 5.0
    shift: float = 4.0
    scale: float = 0.05

    def __call__(self, images: Tensor, moment: StepContext) -> Tensor:
        """See `Transform`."""
        matrices = []
        for own in generators(moment):
            angle = math.radians(own.uniform(-self.degrees, self.degrees))
            scale = 1 / own.uniform(1 - self.scale, 1 + self.scale)
            right, down = (own.uniform(-self.shift, self.shift) * 2 / images.shape[-1] for _ in range(2))
            turned, upright = scale * math.sin(angle), scale * math.cos(angle)
            matrices.append([[upright, -turned, right], [turned, upright, down]])
        grid = F.affine_grid(torch.tensor(matrices, device=images.device), list(images.shape), align_corners=False)
        return F.grid_sample(images, grid.to(images.dtype), padding_mode="border", align_corners=False)


@dataclass(frozen=True, kw_only=True)
class Mix:
    """Random affine, then random noise: the "mix" of Table IV.

    Args:
        affine: the first.
        noise: the second.
    """

    affine: RandomAffine = field(default_factory=RandomAffine)
    noise: RandomNoise = field(default_factory=RandomNoise)

    def __call__(self, images: Tensor, moment: StepContext) -> Tensor:
        """See `Transform`."""
        return self.noise(self.affine(images, moment), moment)


TRANSFORMS: dict[str, type[RandomNoise | RandomAffine | Mix | ProviderOperations]] = {
    "noise": RandomNoise,
    "affine": RandomAffine,
    "mix": Mix,
    "provider": ProviderOperations,
}
"""Transforms by name."""

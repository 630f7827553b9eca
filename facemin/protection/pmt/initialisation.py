"""Where an optimisation begins, and the random numbers behind it: each image's own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
import torch

from facemin.protection.pmt import separable as linear_maps
from facemin.protection.seeds import hashed_seed

if TYPE_CHECKING:
    from torch import Tensor


class Start(Protocol):
    """Where an optimisation begins; frozen settings."""

    needs_face: ClassVar[bool]
    """Whether the start is made of the face: then it serves no pseudonym, whose image may hold nothing of the face."""

    def __call__(self, face: Tensor, seed: int) -> Tensor:
        """A start (3, 112, 112), float32, unclipped, for a face of that shape; on the CPU for every device."""


@dataclass(frozen=True, kw_only=True)
class GaussianNoise:
    """Start from Gaussian noise, so that nothing of the photo is there to begin with.

    Source: PMT Algorithm 1, line 3 (`randn_like`, which is mean 0 and deviation 1 in the paper's units).

    Args:
        mean: of every value, in [0, 1].
        deviation: standard deviation, in units of [0, 1]; the result is clipped to [0, 1].
    """

    needs_face: ClassVar[bool] = False

    mean: float = 0.5
    deviation: float = 0.1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and math.isfinite(self.deviation) and self.deviation >= 0):
            raise ValueError(
                f"GaussianNoise: expected a finite mean and deviation >= 0, got {self.mean}, {self.deviation}"
            )

    def __call__(self, face: Tensor, seed: int) -> Tensor:
        """A start (3, 112, 112), float32, unclipped, for a face of that shape; on the CPU for every device."""
        noise = _generator(seed).standard_normal(tuple(face.shape), dtype=np.float32)
        return torch.from_numpy(noise).mul_(self.deviation).add_(self.mean)


@dataclass(frozen=True, kw_only=True)
class RandomSort:
    """Start from the face's own pixels in a random order.

    Its colours are the face's, and nothing hides them: a start for comparison, as Table III has it.
    Source: PMT section 5.3, "random substitution"; Table III calls it "random sort".
    """

    needs_face: ClassVar[bool] = True

    def __call__(self, face: Tensor, seed: int) -> Tensor:
        """See `Start`."""
        pixels = face.cpu().flatten(1)
        order = torch.from_numpy(_generator(seed).permutation(pixels.shape[1]))
        return pixels[:, order].reshape(face.shape)


@dataclass(frozen=True, kw_only=True)
class GaussianBlur:
    """Start from the face, blurred.

    The blurred face is there to begin with and stays where the key does not look: a start for comparison, as
    Table III has it. It uses no randomness.
    Source: PMT section 5.3; Table III calls it "random blur". The paper does not say how strong.

    Args:
        sigma: standard deviation of the blur, in pixels, in (0, 56].
    """

    needs_face: ClassVar[bool] = True

    sigma: float = 8.0

    def __post_init__(self) -> None:
        if not 0 < self.sigma <= linear_maps.SIDE / 2:
            raise ValueError(f"GaussianBlur sigma: expected pixels in (0, {linear_maps.SIDE / 2}], got {self.sigma}")

    def __call__(self, face: Tensor, seed: int) -> Tensor:
        """See `Start`."""
        del seed
        matrix = linear_maps.blur_matrix(float(self.sigma))
        return matrix @ face.cpu() @ matrix.T


STARTS: dict[str, type[GaussianNoise | RandomSort | GaussianBlur]] = {
    "gaussian-noise": GaussianNoise,
    "random-sort": RandomSort,
    "gaussian-blur": GaussianBlur,
}
"""Starts by name."""


def _generator(seed: int) -> np.random.Generator:
    # torch's generator keeps 32 bits of a seed: few enough to try them all against the noise that stays where
    # a recogniser does not look
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))


def image_seed(seed: int, face: Tensor) -> int:
    """The seed of one image's randomness: SHA-256 of the run's seed and the face's own 8-bit bytes.

    It does not depend on the image's place in a batch or folder, and nobody without the face can compute it.

    Args:
        seed: of the run, in [0, 2^128).
        face: (3, 112, 112) in [0, 1].

    Returns:
        A number in [0, 2^256).

    Raises:
        ValueError: when the seed is out of range.
    """
    return hashed_seed(seed, face.mul(255).round().to("cpu", torch.uint8).numpy().tobytes())

"""Initialisation of an optimisation, and each image's own random numbers behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
import torch

from facemin.protection.pmt import separable as linear_maps
from facemin.runtime.ranges import ranges
from facemin.runtime.seeds import hashed_seed

if TYPE_CHECKING:
    from torch import Tensor


class Initialisation(Protocol):
    """Where an optimisation begins; frozen settings."""

    needs_face: ClassVar[bool]
    """Whether the start is made of the face: then it serves no pseudonym, whose image may hold nothing of the face."""

    def __call__(self, face: Tensor, seed: int) -> Tensor:
        """A start (3, 112, 112), float32, unclipped, for a face of that shape; on the CPU for every device."""


@dataclass(frozen=True, kw_only=True)
@ranges({"(-inf, inf)": "mean", "[0, inf)": "deviation"})
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

    def __call__(self, face: Tensor, seed: int) -> Tensor:
        """A start (3, 112, 112), float32, unclipped, for a face of that shape; on the CPU for every device."""
        noise = _generator(seed).standard_normal(tuple(face.shape), dtype=np.float32)
        return torch.from_numpy(noise).mul_(self.deviation).add_(self.mean)


@dataclass(frozen=True, kw_only=True)
@ranges({"(-inf, inf)": "mean", "[0, inf)": "deviation white", f"(0, {linear_maps.SIDE / 2}]": "sigma"})
class LowFrequencyNoise:
    """Start from Gaussian noise that is strong where photos are: in low frequencies.

    What a key does not look at stays as it began. White noise hides little of what an optimisation leaks into coarse
    structure, which a blur brings out; this covers it. Our own; no paper's.

    Args:
        mean: of every value, in [0, 1].
        deviation: standard deviation of the blurred noise after its blur, in units of [0, 1].
        sigma: standard deviation of that blur, in pixels, in (0, 56].
        white: standard deviation of the white noise on top.
    """

    needs_face: ClassVar[bool] = False

    mean: float = 0.5
    deviation: float = 0.15
    sigma: float = 4.0
    white: float = 0.1

    def __call__(self, face: Tensor, seed: int) -> Tensor:
        """See `Initialisation`."""
        generator = _generator(seed)
        coarse, white = (
            torch.from_numpy(generator.standard_normal(tuple(face.shape), dtype=np.float32)) for _ in range(2)
        )
        matrix = linear_maps.blur_matrix(float(self.sigma))
        # repeated pixels beyond the border make the blur weaker there: each pixel's own deviation is divided out
        scale = matrix.square().sum(1).sqrt()
        blurred = (matrix @ coarse @ matrix.T) / (scale[:, None] * scale)
        return blurred.mul_(self.deviation).add_(white, alpha=self.white).add_(self.mean)


@dataclass(frozen=True, kw_only=True)
class RandomSort:
    """Start from the face's own pixels in a random order.

    Its colours are the face's, and nothing hides them: a start for comparison, as Table III has it.
    Source: PMT section 5.3, "random substitution"; Table III calls it "random sort".
    """

    needs_face: ClassVar[bool] = True

    def __call__(self, face: Tensor, seed: int) -> Tensor:
        """See `Initialisation`."""
        pixels = face.cpu().flatten(1)
        order = torch.from_numpy(_generator(seed).permutation(pixels.shape[1]))
        return pixels[:, order].reshape(face.shape)


@dataclass(frozen=True, kw_only=True)
@ranges({f"(0, {linear_maps.SIDE / 2}]": "sigma"})
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

    def __call__(self, face: Tensor, seed: int) -> Tensor:
        """See `Initialisation`."""
        del seed
        matrix = linear_maps.blur_matrix(float(self.sigma))
        return matrix @ face.cpu() @ matrix.T


STARTS: dict[str, type[GaussianNoise | LowFrequencyNoise | RandomSort | GaussianBlur]] = {
    "gaussian-noise": GaussianNoise,
    "low-frequency-noise": LowFrequencyNoise,
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

"""Random numbers of one image at one step: the same whatever the batch, the place in it, and the device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.protection.pmt.optimise import StepContext


def generators(moment: StepContext) -> list[np.random.Generator]:
    """One generator a row, of its seed and the number of steps it has taken."""
    # Philox with the seed's 256 bits; torch's generator would keep 32 of them
    return [
        np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, int(step)])))
        for seed, step in zip(moment.seeds, moment.steps.tolist(), strict=True)
    ]


def normal(generator: np.random.Generator, like: Tensor) -> Tensor:
    """Standard normal numbers of the shape, type and device of `like`."""
    numbers = generator.standard_normal(tuple(like.shape), dtype=np.float32)
    return torch.from_numpy(numbers).to(like)

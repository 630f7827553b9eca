"""A step's mixtures: counts from the strategy or a baseline, then partners and weights; functions of seed and step."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from facemin.ahm.mixing import COUNTS, Mixture, draw_partners, draw_weights
from facemin.ahm.policy import sample
from facemin.train.data.sampler import derived_seed

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.ahm.config import Mixing


class MixtureDraw(NamedTuple):
    """What a batch's faces are mixed with, and how it came about."""

    mixture: Mixture
    choices: Tensor
    """(B,) int64, places in `COUNTS`; -1 where nothing is mixed."""


def generator_of(seed: int, purpose: str, step: int) -> np.random.Generator:
    """The random numbers of one purpose at one step."""
    return np.random.default_rng(derived_seed(seed, purpose, step))


def draw(
    mixing: Mixing,
    places: Tensor,
    labels: Tensor,
    logits: Tensor | None,
    generator: np.random.Generator,
    *,
    progress: float = 0.0,
) -> MixtureDraw:
    """Draw the mixtures of faces.

    Args:
        mixing: how.
        places: of the faces in the pool, (B,) int64.
        labels: of the pool, (N,) int64.
        logits: the strategy's, (B, 5); None for the baselines.
        generator: of all of it.
        progress: share of the training that is done, in [0, 1]; a ramp's number of faces depends on it.

    Raises:
        ValueError: fewer partners than a mixture wants.
    """
    if mixing.kind == "none":
        choices = torch.full_like(places, -1)
    elif mixing.kind == "fixed":
        assert mixing.count is not None
        choices = torch.full_like(places, COUNTS.index(mixing.count))
    elif mixing.kind == "ramp":
        choices = torch.full_like(places, min(int(progress * len(COUNTS)), len(COUNTS) - 1))
    elif mixing.kind == "random":
        choices = torch.from_numpy(generator.integers(len(COUNTS), size=len(places)))
    else:
        assert logits is not None
        choices = sample(logits, generator)
    counts = torch.where(choices < 0, 1, torch.tensor(COUNTS)[choices])
    partners = draw_partners(places, labels, counts, generator, partners=mixing.partners)
    return MixtureDraw(Mixture(partners, draw_weights(counts, generator)), choices)

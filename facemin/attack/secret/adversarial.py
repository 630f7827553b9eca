"""Adversarial alignment without pairs: a rotation that a discriminator cannot tell from the uploads' cloud (row T6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from facemin.runtime.ranges import ranges

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, kw_only=True)
@ranges({"integer [1, inf)": "steps width", "[0, 0.5)": "smoothing"})
class DiscriminatorSettings:
    """Settings of the discriminator between mapped embeddings and uploads.

    Args:
        steps: before each step of the map.
        width: of its two hidden layers.
        smoothing: of its labels.

    Raises:
        ValueError: a setting out of range.
    """

    steps: int = 5
    width: int = 512
    smoothing: float = 0.1


@dataclass(frozen=True, kw_only=True)
@ranges({"integer [1, inf)": "steps batch", "(0, inf)": "rate", "[0, 1)": "orthogonal"})
class AdversarialAlignment:
    """Settings of the alignment.

    Args:
        steps: of the map.
        discriminator: what the map is trained against.
        batch: rows a step.
        rate: of both optimisers.
        orthogonal: how strongly the map is pulled to the rotations after each step.
        seed: of weights and batches.

    Raises:
        ValueError: a setting out of range.
    """

    steps: int = 2000
    discriminator: DiscriminatorSettings = DiscriminatorSettings()
    batch: int = 64
    rate: float = 0.1
    orthogonal: float = 0.01
    seed: int = 0


def adversarial_rotation(
    plain: ArrayLike, uploaded: ArrayLike, start: NDArray[np.float64], settings: AdversarialAlignment
) -> NDArray[np.float64]:
    """The rotation that makes plain embeddings look like uploads.

    Source: Conneau et al., Word translation without parallel data, 2018, section 2.1 (refine it with
    `alignment.nearest_neighbours`, their 2.2).

    Args:
        plain: (N, D).
        uploaded: (M, D).
        start: (D, D), a first rotation.
        settings: of the training.

    Returns:
        (D, D) float64, orthogonal.

    Raises:
        ValueError: clouds of other shapes.
    """
    clouds = [torch.as_tensor(np.asarray(rows), dtype=torch.float32) for rows in (plain, uploaded)]
    if any(cloud.ndim != 2 for cloud in clouds) or clouds[0].shape[1] != clouds[1].shape[1]:
        raise ValueError(f"plain, uploaded: expected (N, D), (M, D), got {[tuple(cloud.shape) for cloud in clouds]}")
    generator = torch.Generator().manual_seed(settings.seed)
    dimension = clouds[0].shape[1]
    # at the length that the discriminator's layers are initialised for
    clouds = [F.normalize(cloud) * dimension**0.5 for cloud in clouds]
    weights = torch.nn.Parameter(torch.as_tensor(start, dtype=torch.float32).clone())
    judge = _network(dimension, settings.discriminator.width, generator)
    mapping, judging = (torch.optim.SGD(values, settings.rate) for values in ([weights], judge.parameters()))

    def batch(cloud: torch.Tensor) -> torch.Tensor:
        return cloud[torch.randint(len(cloud), (settings.batch,), generator=generator)]

    real = torch.full((settings.batch,), 1 - settings.discriminator.smoothing)
    made = 1 - real
    for _ in range(settings.steps):
        for _ in range(settings.discriminator.steps):
            mapped = batch(clouds[0]) @ weights.detach().T
            both = judge(torch.cat([mapped, batch(clouds[1])]))[:, 0]
            loss = F.binary_cross_entropy_with_logits(both, torch.cat([made, real]))
            judging.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            judging.step()
        loss = F.binary_cross_entropy_with_logits(judge(batch(clouds[0]) @ weights.T)[:, 0], real)
        mapping.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        mapping.step()
        with torch.no_grad():
            beta = settings.orthogonal
            weights.copy_((1 + beta) * weights - beta * weights @ weights.T @ weights)
    left, _, right = np.linalg.svd(weights.detach().double().numpy())
    return np.asarray(left @ right)


def _network(dimension: int, width: int, generator: torch.Generator) -> nn.Sequential:
    layers = [nn.Linear(dimension, width), nn.Linear(width, width), nn.Linear(width, 1)]
    for layer in layers:
        with torch.no_grad():
            nn.init.kaiming_normal_(layer.weight, a=0.2, generator=generator)
            layer.bias.zero_()
    return nn.Sequential(layers[0], nn.LeakyReLU(0.2), layers[1], nn.LeakyReLU(0.2), layers[2])

"""Optimisation of carriers: a small change of a base, after which networks see a pseudonym in it under T."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from facemin.protection.carrier.canvas import GRAIN, placed
from facemin.protection.carrier.services.pipelines import crops, decoded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from facemin.protection.carrier.services.networks import Network
    from facemin.protection.carrier.settings import Descent, Pipelines

COARSE = 2
"""Cells a side over which a change is averaged to see what of it eyes and detectors see."""

AVERAGED = 8
"""Last steps whose changes are averaged (Polyak and Juditsky, 1992), so that T's randomness has less part in them."""


def find_changes(
    canvases: Tensor,
    targets: Sequence[Tensor],
    seeds: Sequence[int],
    networks: Sequence[Network],
    *,
    descent: Descent,
    pipelines: Pipelines,
    on_step: Callable[[list[int]], None] | None = None,
) -> Tensor:
    """Changes of bases, (B, 3, GRAIN, GRAIN), by Adam with a falling step, averaged over the last steps.

    Args:
        canvases: of the bases, (B, 3, SIDE, SIDE).
        targets: one a network, (B, D).
        seeds: of each image's randomness.
        networks: that shall see the targets.
        descent: settings.
        pipelines: T.
        on_step: told before every step how many each image has taken.
    """
    aims = [
        (
            network,
            [
                (crop, side, network.wanted(crops(pipelines, canvases, crop, side, None), target))
                for crop, side in network.views
            ],
        )
        for network, target in zip(networks, targets, strict=True)
    ]
    change = torch.zeros(len(canvases), 3, GRAIN, GRAIN, requires_grad=True)
    mean, power, total = (torch.zeros(change.shape) for _ in range(3))
    averaged = min(AVERAGED, descent.steps)
    for step in range(descent.steps):
        if on_step is not None:
            on_step([step] * len(canvases))
        draws = [np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, step]))) for seed in seeds]
        shown = decoded(pipelines, (canvases + placed(change)).clamp(0, 1), draws)
        loss = torch.zeros(len(canvases))
        for network, views in aims:
            # the crop of the network's own users twice as often as the others
            crop, side, wanted = views[(step % (len(views) + 1)) % len(views)]
            loss = loss + network.missing(crops(pipelines, shown, crop, side, draws), wanted)
        loss = loss + descent.anchor * size(coarse(change)) + descent.fine * size(change)
        (gradient,) = torch.autograd.grad(loss.sum(), change)
        step_size = descent.last + (descent.first - descent.last) * (1 + math.cos(math.pi * step / descent.steps)) / 2
        mean.lerp_(gradient, 0.2)
        power.lerp_(gradient.square(), 0.02)
        rate = mean / (1 - 0.8 ** (step + 1)) / ((power / (1 - 0.98 ** (step + 1))).sqrt() + 1e-12)
        with torch.no_grad():
            change -= step_size / 255 * rate
            change.clamp_(-0.5, 0.5)
            if step >= descent.steps - averaged:
                total += change
    return total / averaged


def coarse(change: Tensor) -> Tensor:
    """What is left of changes (B, 3, H, W) where squares of `COARSE` cells are averaged."""
    return F.avg_pool2d(change, COARSE)


def size(values: Tensor) -> Tensor:
    """Root mean square a row, with a slope at 0."""
    return (values.square().mean((1, 2, 3)) + 1e-8).sqrt()

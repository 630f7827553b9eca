"""The strategy network: how many faces to mix with a masked face; and its training by REINFORCE.

Source: AHM (Wang et al. 2024), abstract: the number of mixed images is chosen by reinforcement learning, to maximise
the recogniser's loss. Network, baseline and entropy bonus are our reading; REINFORCE is Williams 1992, equation 11.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facemin.ahm.mixing import COUNTS

if TYPE_CHECKING:
    import numpy as np

WIDTH = 24
_SIDE = 14


class Policy(nn.Module):
    """Masked faces (B, C, h, h) to logits of the counts, (B, 5): three convolutions, the mean, one matrix.

    It begins with all counts alike. What it looks at is averaged to 14 x 14 first: how many faces to mix is no matter
    of detail.

    Args:
        channels: of a masked face, C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, WIDTH, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.choose = nn.Linear(WIDTH, len(COUNTS))
        nn.init.zeros_(self.choose.weight)
        nn.init.zeros_(self.choose.bias)

    def forward(self, masked: Tensor) -> Tensor:
        """Logits (B, 5)."""
        seen = F.adaptive_avg_pool2d(masked, _SIDE)
        logits: Tensor = self.choose(self.body(seen).mean((2, 3)))
        return logits


def sample(logits: Tensor, generator: np.random.Generator) -> Tensor:
    """Draw each row's choice from its softmax: (B, n) to (B,) int64 in 0..n - 1."""
    shares = torch.softmax(logits.detach().double().cpu(), 1).cumsum(1)
    drawn = torch.from_numpy(generator.random(len(logits)))
    return (drawn[:, None] > shares).sum(1).clamp_max(logits.shape[1] - 1)


class PolicyLoss(NamedTuple):
    """What is minimised, and what is logged of it."""

    loss: Tensor
    """(), differentiable."""
    entropy: Tensor
    """Mean over the batch, (), nats, detached; log 5 where all counts are alike."""


def reinforce(logits: Tensor, choices: Tensor, advantages: Tensor, *, entropy_bonus: float) -> PolicyLoss:
    """The negative of mean((R - b) log pi(choice)) + bonus times the mean entropy.

    Its gradient is, in expectation, that of the mean reward, whatever b is.

    Args:
        logits: (B, n).
        choices: drawn from them, (B,) int64.
        advantages: reward minus baseline, (B,); no gradient passes.
        entropy_bonus: how much a nat of entropy is worth in units of the reward.
    """
    logs = torch.log_softmax(logits.float(), 1)
    entropy = -(logs.exp() * logs).sum(1).mean()
    gain = (advantages.detach() * logs.gather(1, choices[:, None])[:, 0]).mean()
    return PolicyLoss(-gain - entropy_bonus * entropy, entropy.detach())


class Standards:
    """Mean and deviation of the rewards of each choice so far.

    Args:
        choices: how many there are.
    """

    def __init__(self, choices: int) -> None:
        self.sums = torch.zeros(3, choices, dtype=torch.float64)
        """Of ones, rewards and squared rewards, by choice."""

    def __call__(self, rewards: Tensor, choices: Tensor) -> Tensor:
        """Rewards (B,) in deviations from their own choice's mean; they are taken into it first.

        Until a choice has two different rewards its own are 0.
        """
        wide = rewards.detach().double().cpu()
        for row, values in zip(self.sums, (torch.ones_like(wide), wide, wide.square()), strict=True):
            row.index_add_(0, choices.cpu(), values)
        count, first, second = self.sums
        mean = first / count.clamp_min(1)
        deviation = (second / count.clamp_min(1) - mean.square()).clamp_min(0).sqrt()
        away = wide - mean[choices.cpu()]
        own = deviation[choices.cpu()]
        return torch.where(own > 0, away / own.clamp_min(1e-12), 0).to(rewards)


@dataclass
class Multiplier:
    """What one more face costs, so that a floor is kept: raised while less is reached, lowered while more is.

    Source: dual ascent on max mean(reward) subject to reached >= floor (Boyd and Vandenberghe 2004, section 5.5).

    Args:
        floor: what shall be reached, in (0, 1).
        rate: of a step.
        value: so far, 0 or more.
    """

    floor: float
    rate: float
    value: float = 0.0

    def step(self, reached: float) -> float:
        """Move by what is missing, and return where that leads."""
        self.value = max(0.0, self.value + self.rate * (self.floor - reached))
        return self.value


@dataclass
class Baseline:
    """A moving average of the rewards.

    Args:
        value: so far; None before the first batch, whose own mean is then its baseline.
        momentum: share of the old value that stays at each batch.
    """

    value: float | None = None
    momentum: float = 0.9

    def advantages(self, rewards: Tensor) -> Tensor:
        """Rewards minus the average as it was before them, (B,); they are then taken into it."""
        mean = float(rewards.double().mean())
        before = mean if self.value is None else self.value
        self.value = self.momentum * before + (1 - self.momentum) * mean
        return rewards - before

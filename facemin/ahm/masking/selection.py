"""Channel selection, learnt: gates opened by identification and closed by resemblance.

Source: Wang et al. 2022 (PPFR-FD): an analysis network is trained with a recognition error and a penalty on what the
kept channels show. Its code is not public; here a linear classifier stands for the recogniser, and a channel's share of
the energy for what it shows, since the strongest channels are those that look like the face.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from facemin.ahm.masking.frequency import CHANNELS
from facemin.runtime.ranges import ranges

if TYPE_CHECKING:
    from torch import Tensor

_GRID = 7


@dataclass(frozen=True, kw_only=True)
@ranges({"[1, inf)": "steps batch", "(0, inf)": "rate", "[0, inf)": "penalty"})
class Selection:
    """How channels are learnt.

    Args:
        penalty: what a channel with the mean energy of all costs, in nats, at an open gate.
        steps: of Adam.
        rate: its.
        batch: faces a step.
        seed: of the classifier's weights and the batches.

    Raises:
        ValueError: a setting out of its range.
    """

    penalty: float = 1e-3
    steps: int = 300
    rate: float = 0.01
    batch: int = 64
    seed: int = 0

    def __call__(self, channels: Tensor, labels: Tensor, energy: Tensor) -> Tensor:
        """Score channels; the higher, the sooner to be kept.

        Args:
            channels: of faces, standardised, (N, 192, h, h).
            labels: whose faces, (N,) int64.
            energy: of each channel, (192,), 0 or more.

        Returns:
            (192,) float32: logits of the gates.

        Raises:
            ValueError: shapes that do not fit.
        """
        if channels.dim() != 4 or channels.shape[1] != CHANNELS or len(labels) != len(channels):
            raise ValueError(
                f"channels: expected (N, {CHANNELS}, h, h) and N labels, got {tuple(channels.shape)}, {len(labels)}"
            )
        pooled = F.adaptive_avg_pool2d(channels.float(), _GRID)
        pooled = pooled / pooled.std((0, 2, 3), keepdim=True).clamp_min(1e-6)
        generator = torch.Generator().manual_seed(self.seed)
        classes = int(labels.max()) + 1
        weight = torch.randn(classes, CHANNELS * _GRID**2, generator=generator).mul_(0.01).requires_grad_()
        gates = torch.zeros(CHANNELS, requires_grad=True)
        share = (energy / energy.mean()).to(pooled)
        optimiser = torch.optim.Adam([weight, gates], lr=self.rate)
        for _ in range(self.steps):
            rows = torch.randint(len(labels), (min(self.batch, len(labels)),), generator=generator)
            opened = torch.sigmoid(gates)
            logits = (pooled[rows] * opened[:, None, None]).flatten(1) @ weight.T
            # weights that are free to grow would make up for any closed gate
            decay = 1e-2 * weight.square().sum() / classes
            loss = F.cross_entropy(logits, labels[rows]) + self.penalty * (opened * share).sum() + decay
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        return gates.detach()

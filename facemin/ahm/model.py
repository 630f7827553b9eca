"""Losses of recogniser and strategy on mixtures of masked faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from facemin.ahm.mixing import COUNTS, Mixture, mix, mixed_loss
from facemin.ahm.policy import Policy
from facemin.ahm.recogniser import masked_resnet
from facemin.train.heads import HEADS

if TYPE_CHECKING:
    from facemin.ahm.config import AHMConfig
    from facemin.ahm.data import People
    from facemin.ahm.masking.mask import Mask


HELD = 512 * 2**20
"""Bytes up to which all faces are masked once and held, plain and mirrored."""


class Pair(nn.Module):
    """Recogniser, head and strategy: all the weights of a run."""

    def __init__(self, config: AHMConfig, mask: Mask, classes: int) -> None:
        super().__init__()
        settings = config.network
        self.network = masked_resnet(mask.shape, **settings.model_dump())
        self.head = HEADS[config.head.kind](settings.embedding_size, classes, config.head.settings())
        self.policy = Policy(len(mask.channels))
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class Sight:
    """Mixtures of a run's faces, as the networks in training see them.

    Args:
        trained: all the weights; in whichever mode they are.
        mask: of the faces.
        people: whose faces are mixed.
        batch: mixtures at once, at most.
        device: where to compute.
        dtype: what the recogniser computes in.
    """

    def __init__(
        self, trained: Pair, mask: Mask, people: People, *, batch: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.trained, self.mask, self.device, self.dtype = trained, mask, device, dtype
        self.pool, self.labels = people.pool.to(device), people.labels
        self.buffer = torch.empty(batch, *mask.shape, device=device)
        self.held = self._masked_once() if 2 * len(self.pool) * self.buffer[:1].nbytes <= HELD else None

    @torch.no_grad()
    def logits(self, places: Tensor, flips: Tensor) -> Tensor:
        """What the strategy makes of faces alone, masked: (B, 5)."""
        logits: Tensor = self.trained.policy(self.masked(self.alone(places), flips))
        return logits

    @staticmethod
    def alone(places: Tensor) -> Mixture:
        """Each face mixed with nobody."""
        weights = torch.zeros(len(places), max(COUNTS))
        weights[:, 0] = 1
        return Mixture(places[:, None].expand_as(weights), weights)

    @torch.no_grad()
    def masked(self, mixture: Mixture, flips: Tensor) -> Tensor:
        """Masked mixtures (B, C, h, h), mirrored where flips says so; the next call overwrites them."""
        if self.held is not None:
            return self._mixed_of_held(self.held, mixture, flips)
        faces = mix(self.pool, mixture)
        mirrored = torch.where(flips.to(self.device)[:, None, None, None], faces.flip(3), faces)
        return self.mask(mirrored, out=self.buffer)

    @torch.no_grad()
    def _masked_once(self) -> Tensor:
        """All faces masked, and all of them mirrored and masked, (2, N, C, h, h)."""
        sides = (self.pool, self.pool.flip(3))
        return torch.stack(
            [torch.cat([self.mask(part / 255) for part in torch.split(side, len(self.buffer))]) for side in sides]
        )

    def _mixed_of_held(self, held: Tensor, mixture: Mixture, flips: Tensor) -> Tensor:
        """Mixtures of masked faces, which are masked mixtures: the mask is affine, and weights sum to one."""
        mixed = self.buffer[: len(flips)].zero_()
        side, weights = flips.long().to(self.device), mixture.weights.to(self.device)
        for weight, places in zip(weights.T, mixture.places.to(self.device).T, strict=True):
            used = weight > 0
            mixed[used] += weight[used, None, None, None] * held[side[used], places[used]]
        return mixed

    def embedded(self, masked: Tensor) -> Tensor:
        """The recogniser's embeddings (B, D) float32."""
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
            embeddings: Tensor = self.trained.network(masked.to(self.dtype, memory_format=torch.channels_last))
        return embeddings.float()

    def losses(self, mixture: Mixture, flips: Tensor, *, annealing: float) -> Tensor:
        """Each mixture's loss, (B,); see `mixed_loss`."""
        return self.loss_of(self.embedded(self.masked(mixture, flips)), mixture, annealing=annealing)

    def loss_of(self, embeddings: Tensor, mixture: Mixture, *, annealing: float = 0.0) -> Tensor:
        """The loss of each embedding of a mixture, (B,)."""
        labels = self.labels[mixture.places].to(self.device)
        weights = mixture.weights.to(self.device)
        return mixed_loss(self.trained.head, embeddings, labels, weights, annealing=annealing)

    def recognised(self, embeddings: Tensor, places: Tensor) -> Tensor:
        """Whether the class of the face at each place is the nearest, (B,) bool; no margin."""
        nearest = nn.functional.normalize(embeddings) @ nn.functional.normalize(self.trained.head.weight).T
        return nearest.argmax(1) == self.labels[places].to(self.device)

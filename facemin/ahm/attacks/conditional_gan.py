"""A conditional GAN from embeddings or class scores to faces, trained on public faces (black box, row T4).

The attacker asks the recogniser for the embeddings of public faces and needs nothing else of it.

Source: AHM's abstract names CGAN-based inversion; Mirza and Osindero 2014 for the CGAN, Miyato and Koyama 2018 for
the projection discriminator, Lim and Ye 2017 for the hinge loss. Sizes are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facemin.attack.contract import Adversary
from facemin.attack.reconstruct.inverter import Inverter
from facemin.attack.training import weights_drawn_from
from facemin.metrics import ssim
from facemin.runtime.compute import DEFAULT_COMPUTE, Compute
from facemin.runtime.device import choose_device, choose_precision
from facemin.runtime.ranges import ranges

if TYPE_CHECKING:
    from collections.abc import Callable


class Generator(nn.Module):
    """Conditions (B, D), and noise (B, Z) where wanted, to faces (B, 3, 112, 112).

    Args:
        conditions: length of a condition, D.
        noise: length of the noise, Z; 0 for a generator without chance.
        width: see `Inverter`.
    """

    def __init__(self, conditions: int, *, noise: int, width: int) -> None:
        super().__init__()
        self.noise = noise
        self.inverter = Inverter((conditions + noise,), width=width)

    def forward(self, conditions: Tensor, noise: Tensor | None = None) -> Tensor:
        """Faces; in training their values are not clipped. Without noise it is all 0."""
        noise = conditions.new_zeros(len(conditions), self.noise) if noise is None else noise
        faces: Tensor = self.inverter(torch.cat([conditions, noise], 1))
        return faces


class Discriminator(nn.Module):
    """How real a face (B, 3, 112, 112) looks, and how well it fits its condition (B, D): (B,), above 0 for real."""

    def __init__(self, conditions: int, *, width: int) -> None:
        super().__init__()
        widths = [3, width, 2 * width, 4 * width, 4 * width]
        self.body = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(before, after, 4, stride=2, padding=1), nn.LeakyReLU(0.2))
                for before, after in pairwise(widths)
            )
        )
        self.real = nn.Linear(widths[-1], 1)
        self.fits = nn.Linear(conditions, widths[-1], bias=False)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, faces: Tensor, conditions: Tensor) -> Tensor:
        """Scores."""
        seen = self.body(2 * faces - 1).mean((2, 3))
        scores: Tensor = self.real(seen)[:, 0] + (self.fits(conditions) * seen).mean(1)
        return scores


@dataclass(frozen=True, kw_only=True)
@ranges({"[0, inf)": "structure adversarial"})
class GeneratorLoss:
    """Weights of what the generator minimises, beside the mean absolute error to the public face.

    Args:
        structure: of 1 - SSIM.
        adversarial: of the discriminator's score; 0 leaves a plain decoder.

    Raises:
        ValueError: a weight out of range.
    """

    structure: float = 0.2
    adversarial: float = 0.02


@dataclass(frozen=True, kw_only=True)
@ranges(
    {
        "integer [1, inf)": "width epochs batch",
        "(0, inf)": "rate",
        "integer [0, inf)": "noise",
        f"integer [0, {2**63})": "seed",
    }
)
class ConditionalGAN:
    """How such a GAN is trained.

    Args:
        noise: length of the generator's noise.
        width: of the generator, and of the discriminator's first layer.
        loss: of the generator.
        epochs: over the public faces.
        batch: faces a step.
        rate: Adam's, of both.
        seed: of weights, order, mirroring and noise.

    Raises:
        ValueError: a setting out of range.
    """

    adversary: ClassVar[Adversary] = Adversary(row="T4", knows=("embedding", "public faces"))

    noise: int = 8
    width: int = 24
    loss: GeneratorLoss = GeneratorLoss()
    epochs: int = 10
    batch: int = 32
    rate: float = 1e-3
    seed: int = 0

    def __call__(
        self,
        conditions: Tensor,
        faces: Tensor,
        *,
        compute: Compute = DEFAULT_COMPUTE,
        on_epoch: Callable[[int, float], None] | None = None,
    ) -> Generator:
        """Train a generator.

        Args:
            conditions: what the recogniser says of public faces, (N, D): unit embeddings, or class scores.
            faces: them, (N, 3, 112, 112) uint8.
            compute: where, and in which precision of products.
            on_epoch: told the epochs done and the mean absolute error.

        Raises:
            ValueError: different numbers of both, or fewer than a batch.
        """
        if len(conditions) != len(faces) or len(faces) < self.batch:
            raise ValueError(
                f"conditions, faces: expected as many of one as of the other and at least {self.batch}, "
                f"got {len(conditions)}, {len(faces)}"
            )
        device = choose_device(compute.device)
        length = conditions.shape[1]

        def make() -> nn.Module:
            return nn.ModuleList(
                [
                    Generator(length, noise=self.noise, width=self.width),
                    Discriminator(length, width=self.width),
                ]
            )

        both = cast("nn.ModuleList", weights_drawn_from(self.seed, make)).to(device)
        generator, discriminator = cast("Generator", both[0]), cast("Discriminator", both[1])
        generator.inverter.standardise(torch.cat([conditions, torch.randn(len(conditions), self.noise)], 1))
        # noise is standard as it is
        generator.inverter.mean[length:] = 0
        generator.inverter.scale[length:] = 1
        training = _Training(self, generator, discriminator, device, choose_precision(compute.precision, device))
        for epoch in range(self.epochs):
            error = training.epoch(conditions, faces, epoch)
            if on_epoch is not None:
                on_epoch(epoch + 1, error)
        return generator.eval().requires_grad_(False)


class _Training:
    def __init__(
        self,
        settings: ConditionalGAN,
        generator: Generator,
        discriminator: Discriminator,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.settings, self.generator, self.discriminator = settings, generator, discriminator
        self.device, self.dtype = device, dtype
        self.paints = torch.optim.Adam(generator.parameters(), lr=settings.rate, betas=(0.5, 0.99))
        self.judges = torch.optim.Adam(discriminator.parameters(), lr=settings.rate, betas=(0.5, 0.99))

    def epoch(self, conditions: Tensor, faces: Tensor, number: int) -> float:
        settings = self.settings
        random = np.random.default_rng([settings.seed, number])
        order = random.permutation(len(faces))
        total, steps = 0.0, len(faces) // settings.batch
        self.generator.train()
        for step in range(steps):
            places = order[step * settings.batch : (step + 1) * settings.batch]
            wanted = conditions[places].to(self.device)
            real = faces[places].to(self.device).float() / 255
            drawn = random.standard_normal((len(places), settings.noise), dtype=np.float32)
            total += self._step(wanted, real, torch.from_numpy(drawn).to(self.device))
        return total / steps

    def _step(self, wanted: Tensor, real: Tensor, noise: Tensor) -> float:
        weights = self.settings.loss
        made = self._run(self.generator, wanted, noise)
        if weights.adversarial:
            on_real = self._run(self.discriminator, real, wanted)
            on_made = self._run(self.discriminator, made.detach(), wanted)
            verdict = F.relu(1 - on_real).mean() + F.relu(1 + on_made).mean()
            self.judges.zero_grad(set_to_none=True)
            verdict.backward()  # type: ignore[no-untyped-call]
            self.judges.step()
        error = (made - real).abs().mean()
        loss = error + weights.structure * (1 - ssim(made.clamp(0, 1), real)).mean()
        if weights.adversarial:
            loss = loss - weights.adversarial * self._run(self.discriminator, made, wanted).mean()
        self.paints.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.paints.step()
        return float(error.detach())

    def _run(self, network: nn.Module, *inputs: Tensor) -> Tensor:
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
            found: Tensor = network(*inputs)
        return found.float()

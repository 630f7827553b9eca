"""Model inversion (row T3): what does the recogniser think a person of its training set looks like?

An image is optimised until the recogniser takes it for the person: for the class's weight vector, or an embedding.

Source: Fredrikson et al. 2015 for the attack; Mahendran and Vedaldi 2015 for total variation as a prior; Zhang et al.
2020 (The Secret Revealer) for a generator learnt from public faces. The combination is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
import torch
from torch.nn import functional as F

from facemin.attack.contract import Adversary
from facemin.attack.reconstruct.parametrisation import GREY, Pyramid
from facemin.runtime.compute import DEFAULT_COMPUTE, Compute
from facemin.runtime.device import choose_device
from facemin.runtime.ranges import ranges

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from facemin.ahm.attacks.conditional_gan import Generator
    from facemin.attack.reconstruct.parametrisation import Parametrisation


class Inversion(NamedTuple):
    """What an attacker made of targets."""

    images: Tensor
    """(B, 3, 112, 112) in [0, 1]."""
    cosines: Tensor
    """(B,): of the image's embedding, as the attacked recogniser sees it, with the target."""


@dataclass(frozen=True, kw_only=True)
@ranges(
    {
        "[1, inf)": "steps batch",
        "[0, 16]": "shift",
        "[0, inf)": "total_variation closeness drift",
        "(0, inf)": "rate",
    }
)
class ModelInversion:
    """Invert a recogniser with its weights in hand.

    Maximises the mean cosine with the target over random shifts and mirrorings of the image, minus the priors. Without
    a generator the image is a pyramid of layers that begins as the mean public face; with one, it is what the
    generator paints of a condition and noise, which begin as the target and 0.

    Args:
        steps: of Adam, its rate falling to 0 as a cosine.
        rate: in units of [0, 1] of pixels, and of a condition's values.
        total_variation: weight of the mean absolute slope.
        closeness: weight of the mean squared distance from the mean public face.
        shift: most pixels by which an image is shifted at a step, each way; more than the recogniser was trained to
            bear leads astray.
        scales: sides of the pyramid's layers, the last 112.
        drift: with a generator: weight of the mean square of noise, and of the condition's way from the target.
        seed: of shifts and mirrorings.
        batch: images optimised at once.

    Raises:
        ValueError: a setting out of its range.
    """

    adversary: ClassVar[Adversary] = Adversary(row="T3", knows=("recogniser", "class weights", "public faces"))

    steps: int = 200
    rate: float = 0.01
    total_variation: float = 1.0
    closeness: float = 2.0
    shift: int = 1
    scales: tuple[int, ...] = (7, 14, 28, 56, 112)
    drift: float = 0.05
    seed: int = 0
    batch: int = 16

    def __call__(
        self,
        recognise: Callable[[Tensor], Tensor],
        targets: Tensor,
        *,
        mean: Tensor,
        generator: Generator | None = None,
        compute: Compute = DEFAULT_COMPUTE,
    ) -> Inversion:
        """Make an image for each target.

        Args:
            recognise: faces (B, 3, 112, 112) in [0, 1] to unit rows (B, D), differentiable.
            targets: (B, D), of any length above 0.
            mean: the mean of public faces, (1, 3, 112, 112) in [0, 1].
            generator: trained on public faces with conditions (B, D).
            compute: where.

        Raises:
            ValueError: targets that are not finite.
        """
        if targets.dim() != 2 or not bool(targets.isfinite().all()):
            raise ValueError(f"targets: expected finite rows (B, D), got {tuple(targets.shape)}")
        device = choose_device(compute.device)
        wanted = F.normalize(targets).to(device)
        mean = mean.to(device)
        parts = [self._invert(recognise, part, mean, generator) for part in torch.split(wanted, self.batch)]
        images = torch.cat(parts).cpu()
        with torch.no_grad():
            rows = torch.cat([recognise(part.to(device)) for part in torch.split(images, self.batch)])
        return Inversion(images, (rows * wanted).sum(1).cpu())

    def _invert(
        self, recognise: Callable[[Tensor], Tensor], wanted: Tensor, mean: Tensor, generator: Generator | None
    ) -> Tensor:
        random = np.random.default_rng(self.seed)
        canvas: Parametrisation
        if generator is None:
            pyramid = Pyramid(self.scales, rows=len(wanted), noise=0.0, seed=(self.seed,), device=wanted.device)
            with torch.no_grad():
                pyramid.weights[-1] += mean - GREY
            canvas, rate = pyramid, self.rate
        else:
            canvas, rate = _Painted(generator, wanted), self.rate
        optimiser = torch.optim.Adam(canvas.weights, lr=rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self.steps)
        for _ in range(self.steps):
            images = canvas.images()
            cosines = (recognise(self._moved(images, random)) * wanted).sum(1)
            loss = -cosines.sum()
            if isinstance(canvas, _Painted):
                loss = loss + self.drift * canvas.drift()
            else:
                loss = loss + self.total_variation * _roughness(images).sum()
                loss = loss + self.closeness * (images - mean).square().mean((1, 2, 3)).sum()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            canvas.settle()
        with torch.no_grad():
            return canvas.images().clamp(0, 1)

    def _moved(self, images: Tensor, random: np.random.Generator) -> Tensor:
        """All images shifted and mirrored alike, borders repeated."""
        down, across = (int(each) for each in random.integers(0, 2 * self.shift + 1, 2))
        side = images.shape[2]
        padded = F.pad(images, (self.shift,) * 4, mode="replicate") if self.shift else images
        moved = padded[:, :, down : down + side, across : across + side]
        return moved.flip(3) if random.random() < 0.5 else moved


def _roughness(images: Tensor) -> Tensor:
    """Mean absolute slope of each image, (B,)."""
    down, across = images.diff(dim=2).abs().mean((1, 2, 3)), images.diff(dim=3).abs().mean((1, 2, 3))
    return down + across


class _Painted:
    """Images as a generator paints them; see `facemin.attack.reconstruct.parametrisation.Parametrisation`."""

    def __init__(self, generator: Generator, wanted: Tensor) -> None:
        self.generator, self.wanted = generator, wanted
        self.conditions = wanted.clone().requires_grad_()
        self.noise = wanted.new_zeros(len(wanted), generator.noise).requires_grad_()
        self.weights = [self.conditions, self.noise]

    def images(self) -> Tensor:
        painted: Tensor = self.generator(F.normalize(self.conditions), self.noise)
        return painted

    def drift(self) -> Tensor:
        """Sum over rows of how far condition and noise have gone."""
        away = (F.normalize(self.conditions) - self.wanted).square().sum(1)
        return (away + self.noise.square().mean(1)).sum()

    def settle(self) -> None:
        """The generator keeps the range."""

"""White box (row T3): an image is optimised until the key sees in it what it saw in the face.

Features may be caught ones, plain or protected; those of a protected image are `features_of(key, images)`.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import torch

from facemin.attack.contract import FittedReconstructor, needed
from facemin.attack.features import ROWS_AT_LEAST, features_of
from facemin.attack.geometry import SIDE
from facemin.attack.reconstruct.parametrisation import Pyramid
from facemin.runtime.compute import DEFAULT_COMPUTE
from facemin.runtime.device import choose_device, choose_precision

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from facemin.attack.budget import Budget
    from facemin.attack.contract import Knowledge
    from facemin.attack.reconstruct.image_prior import ImagePrior
    from facemin.attack.reconstruct.parametrisation import Parametrisation
    from facemin.autograd.module import OnnxModule
    from facemin.keys.key import Key
    from facemin.runtime.compute import Compute, Precision

Distance = Literal["relative", "norm", "mean-square"]
"""Of features: ||f - z||^2 / ||z||^2, ||f - z||, or the mean of (f - z)^2; over several layers their mean."""

FEWEST_STEPS, TRIAL_STEPS = 60, 4
MOST_IMAGES = 128
"""More than a zero needs to be called bounded (73)."""

_SMOOTH = 1e-6  # under the root of total variation, whose slope is infinite where nothing varies


class Reconstruction(NamedTuple):
    """What an attack made of features."""

    images: Tensor
    """(B, 3, 112, 112) in [0, 1]."""
    losses: Tensor
    """(B,): relative distance ||f - z|| / ||z|| that remains at the cut."""
    steps: int
    """Gradient steps an image took, all restarts together."""


@dataclass(frozen=True, kw_only=True)
class WhiteBox:
    """Reconstruct faces from features with the key in hand.

    Minimises distance + total_variation * TV(x) + energy * mean(x^2), each image on its own. The defaults are the
    strong version: Adam with a cosine decay on a pyramid of layers, coarse and fine together. `PAPER` and `UNSPLIT`
    are the published forms.

    Source: PMT, section 4.1.1, level 2, equations 2 to 4.

    Args:
        steps: gradient steps of each restart.
        rate: size of a step at the beginning, in units of [0, 1].
        rule: "adam", or "sign" for equation 4.
        decay: whether the step falls to 0 as a cosine.
        distance: of features.
        total_variation: weight of TV, the sum over all pixels of (dx^2 + dy^2)^(exponent / 2).
        anneal: TV's weight begins at this multiple of it and falls geometrically: surfaces first, detail after them.
        exponent: beta of equation 3.
        energy: weight of the mean squared value.
        scales: sides of the layers an image is the sum of, the last 112; (112,) for plain pixels.
        prior: paint with an untrained network in place of layers; slow, for images then go one by one.
        restarts: how often to begin; of each image the one whose features end nearest is kept.
        noise: standard deviation around grey (0.5) of where it begins.
        seed: of the noise; an image's result depends on its features and on this alone.
        precision: of the gradients.

    Raises:
        ValueError: a setting out of its range.
    """

    steps: int = 250
    rate: float = 0.1
    rule: Literal["adam", "sign"] = "adam"
    decay: bool = True
    distance: Distance = "relative"
    total_variation: float = 3e-6
    anneal: float = 50.0
    exponent: float = 1.0
    energy: float = 0.0
    scales: tuple[int, ...] = (7, 14, 28, 56, SIDE)
    prior: ImagePrior | None = None
    restarts: int = 1
    noise: float = 0.02
    seed: int = 0
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        if min(self.steps, self.restarts) < 1:
            raise ValueError(f"steps, restarts: expected at least 1, got {self.steps}, {self.restarts}")
        weights = (self.total_variation, self.energy, self.noise)
        if not all(math.isfinite(weight) and weight >= 0 for weight in weights):
            raise ValueError(f"total_variation, energy, noise: expected finite numbers of 0 or more, got {weights}")
        if not (math.isfinite(self.rate) and self.rate > 0 and 0 < self.exponent <= 4 and 1 <= self.anneal <= 1e6):
            raise ValueError(
                f"rate, exponent, anneal: expected above 0, in (0, 4] and in [1, 1e6], "
                f"got {self.rate}, {self.exponent}, {self.anneal}"
            )
        if self.rule not in ("adam", "sign") or self.distance not in get_args(Distance):
            raise ValueError(f"rule, distance: expected adam or sign and {get_args(Distance)}, got {self}")
        if not self.scales or self.scales[-1] != SIDE or not all(1 <= side <= SIDE for side in self.scales):
            raise ValueError(f"scales: expected sides from 1 to {SIDE}, the last {SIDE}, got {self.scales}")

    def __call__(
        self,
        key: Key,
        features: Tensor | Sequence[Tensor],
        *,
        compute: Compute = DEFAULT_COMPUTE,
        on_step: Callable[[int, int], None] | None = None,
    ) -> Reconstruction:
        """Reconstruct faces.

        Args:
            key: whose shallow model made the features.
            features: of its cut, (B, *shape), or of all of its layers in order.
            compute: where, and how many images are optimised at once.
            on_step: called with the steps done and those of all batches and restarts.

        Raises:
            ValueError: features of another shape, or none that are finite.
        """
        targets = _checked(key, features)
        device = choose_device(compute.device)
        shallow = copy.deepcopy(key.shallow).to(device)
        quick = copy.deepcopy(shallow).to(choose_precision(self.precision, device))
        size = 1 if self.prior is not None else compute.batch
        starts = range(0, len(targets[0]), size)
        parts = [tuple(target[start : start + size].to(device) for target in targets) for start in starts]
        total = self.steps * self.restarts * len(parts)
        made = []
        for number, part in enumerate(parts):
            best = _Best()
            for restart in range(self.restarts):
                before = (number * self.restarts + restart) * self.steps
                tell = None if on_step is None else lambda step, before=before: on_step(before + step, total)
                images = self._paint(self._canvas(len(part[0]), restart, device), quick, part, tell)
                best.offer(images, _distances("relative", shallow.layers(_padded(images))[-1:], part[-1:]).sqrt())
            made.append(best)
        if not made:
            return Reconstruction(torch.zeros(0, 3, SIDE, SIDE), torch.zeros(0), 0)
        images, losses = torch.cat([best.images for best in made]), torch.cat([best.losses for best in made])
        return Reconstruction(images.cpu(), losses.cpu(), self.steps * self.restarts)

    def fit(self, knowledge: Knowledge, budget: Budget) -> FittedReconstructor:
        """See `facemin.attack.contract.Reconstructor`: as many images and steps as there is time for."""
        key, compute = needed(knowledge.key, "the key"), knowledge.compute
        own, most, untested = replace(self, seed=knowledge.seed), None, []
        if math.isfinite(budget.seconds):
            # half of the time goes to the same attack on plain faces, without which its failure would say nothing
            affordable = 0.45 * budget.left / self._seconds_a_step(key, compute)
            most = max(1, min(MOST_IMAGES, int(affordable / self.steps)))
            steps = int(min(self.steps, max(min(FEWEST_STEPS, self.steps), affordable / max(most, 2))))
            own = replace(own, steps=steps)
            if steps < self.steps:
                untested.append(f"The full {self.steps} steps: time was left for {steps}.")

        def of_features(features: Tensor) -> Tensor:
            return own(key, features, compute=compute).images

        return FittedReconstructor(
            apply=lambda images: of_features(features_of(key, images)[-1]),
            of_features=of_features,
            words="white box",
            most=most,
            untested=tuple(untested),
        )

    def _seconds_a_step(self, key: Key, compute: Compute) -> float:
        """Of one image; a lone one is computed as two."""
        features = torch.full((ROWS_AT_LEAST, *key.manifest.features), 0.5)
        replace(self, steps=1, restarts=1)(key, features, compute=compute)
        began = perf_counter()
        replace(self, steps=TRIAL_STEPS, restarts=1)(key, features, compute=compute)
        return (perf_counter() - began) * self.restarts / (TRIAL_STEPS * ROWS_AT_LEAST)

    def _canvas(self, rows: int, restart: int, device: torch.device) -> Parametrisation:
        if self.prior is not None:
            return self.prior.canvas(seed=self.seed + restart, device=device)
        rows, seed = max(rows, ROWS_AT_LEAST), (self.seed, restart)
        return Pyramid(self.scales, rows=rows, noise=self.noise, seed=seed, device=device)

    def _paint(
        self,
        canvas: Parametrisation,
        shallow: OnnxModule,
        targets: tuple[Tensor, ...],
        tell: Callable[[int], None] | None,
    ) -> Tensor:
        """One start's images, (B, 3, 112, 112)."""
        rate = self.rate if self.prior is None else self.prior.rate
        optimiser = torch.optim.Adam(canvas.weights, lr=rate)
        dtype = next(shallow.buffers()).dtype
        for step in range(self.steps):
            factor = (1 + math.cos(math.pi * step / self.steps)) / 2 if self.decay else 1.0
            images = canvas.images()
            seen = shallow.layers(images.to(dtype))
            loss = _distances(self.distance, seen[-len(targets) :], targets)
            loss = loss + self._plainness(images[: len(targets[0])], step)
            gradients = torch.autograd.grad(loss.sum(), canvas.weights)
            if self.rule == "sign":
                with torch.no_grad():
                    for weight, gradient in zip(canvas.weights, gradients, strict=True):
                        weight -= rate * factor * gradient.sign()
            else:
                for group in optimiser.param_groups:
                    group["lr"] = rate * factor
                for weight, gradient in zip(canvas.weights, gradients, strict=True):
                    weight.grad = gradient
                optimiser.step()
            canvas.settle()
            if tell is not None:
                tell(step + 1)
        return canvas.images().detach()[: len(targets[0])]

    def _plainness(self, images: Tensor, step: int) -> Tensor:
        """What is asked of images apart from their features, (B,)."""
        total = images.new_zeros(len(images))
        if self.total_variation:
            weight = self.total_variation * self.anneal ** (1 - step / self.steps)
            total = total + weight * total_variation(images, exponent=self.exponent)
        if self.energy:
            total = total + self.energy * images.square().mean((1, 2, 3))
        return total


def total_variation(images: Tensor, *, exponent: float) -> Tensor:
    """Sum over pixels and channels of (dx^2 + dy^2)^(exponent / 2), (B,); differences across the border are 0.

    Source: PMT, equation 3.

    Args:
        images: (B, C, H, W).
        exponent: beta.
    """
    across = torch.nn.functional.pad(images[..., :, 1:] - images[..., :, :-1], (0, 1))
    down = torch.nn.functional.pad(images[..., 1:, :] - images[..., :-1, :], (0, 0, 0, 1))
    squared = across.square() + down.square()
    if exponent == 2:
        return squared.sum((1, 2, 3))
    return (squared + _SMOOTH).pow(exponent / 2).sum((1, 2, 3))


PAPER = WhiteBox(
    rule="sign",
    rate=1 / 255,
    decay=False,
    distance="norm",
    total_variation=0.1,
    anneal=1.0,
    exponent=2.0,
    scales=(SIDE,),
    noise=0.0,
    steps=500,
)
"""Equations 2 to 4, descending where equation 4's sign would ascend. The paper gives neither beta, nor the step, nor
their number, nor the start: beta and start are UnSplit's, which it cites; the step is one grey level. Equation 2 gives
TV no weight, but the range of x and z, on which that depends, is not given either: on values in [0, 1] a tenth
reconstructs far better than 1 (SSIM 0.83 against 0.38 on four unprotected faces), so the attacker gets a tenth."""

UNSPLIT = replace(
    PAPER,
    rule="adam",
    rate=1e-2,
    distance="mean-square",
    total_variation=0.1 / (3 * SIDE * SIDE),
    energy=1.0,
    steps=1000,
)
"""UnSplit's loss with a known model (Erdogan et al. 2022): mean squared error, 0.1 mean TV, mean square, start 0.5. Its
Adam steps are 1e-3, ten thousand of them; here they are ten times as long and a tenth as many."""


class _Best:
    """Of each image the attempt whose features end nearest."""

    def __init__(self) -> None:
        self.images = self.losses = torch.empty(0)

    def offer(self, images: Tensor, losses: Tensor) -> None:
        if not self.losses.numel():
            self.images, self.losses = images, losses
            return
        better = losses < self.losses
        self.images = torch.where(better[:, None, None, None], images, self.images)
        self.losses = torch.where(better, losses, self.losses)


def _distances(kind: Distance, seen: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> Tensor:
    """Mean over layers of each row's distance, (B,); rows beyond the targets' are padding."""
    found = []
    for layer, target in zip(seen, targets, strict=True):
        squared = (layer[: len(target)].float() - target).flatten(1).square()
        if kind == "mean-square":
            found.append(squared.mean(1))
        elif kind == "norm":
            found.append((squared.sum(1) + torch.finfo(torch.float32).tiny).sqrt())
        else:
            found.append(squared.sum(1) / target.flatten(1).square().sum(1).clamp_min(torch.finfo(torch.float32).tiny))
    return torch.stack(found).mean(0)


def _padded(images: Tensor) -> Tensor:
    return images if len(images) >= ROWS_AT_LEAST else images.expand(ROWS_AT_LEAST, -1, -1, -1)


def _checked(key: Key, features: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    """One tensor a layer, float32, of the last layers of the key."""
    given = (features,) if isinstance(features, torch.Tensor) else tuple(features)
    shapes = key.shallow.output_shapes
    expected = shapes[-1:] if len(given) == 1 else shapes
    if tuple(tuple(layer.shape[1:]) for layer in given) != tuple(map(tuple, expected)):
        raise ValueError(
            f"features: expected (B, *{tuple(shapes[-1])}) of the cut, or one tensor for each of the key's "
            f"{len(shapes)} layers, got {[tuple(layer.shape) for layer in given]}"
        )
    if len({len(layer) for layer in given}) != 1:
        raise ValueError(f"features: expected as many rows of each layer, got {[len(layer) for layer in given]}")
    if not all(bool(layer.isfinite().all()) for layer in given):
        raise ValueError("features: expected finite values, got others")
    return tuple(layer.detach().float() for layer in given)

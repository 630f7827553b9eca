"""Training an attacker's network on pairs; interrupted and resumed to the same weights."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import math
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypedDict, TypeVar

import numpy as np
import torch

from facemin.runtime.compute import DEFAULT_COMPUTE
from facemin.runtime.device import choose_device, choose_precision
from facemin.runtime.files import write_atomically
from facemin.runtime.ranges import ranges

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor, nn

    from facemin.attack.budget import Budget
    from facemin.runtime.compute import Compute

_VERSION = 1
_PRINTED = 8  # pairs that a data set's fingerprint is made of
_TRIAL = 64  # pairs that an epoch is timed on
_CLIP = 1.0
_WARMUP = 0.03  # of all steps


class Pairs(Protocol):
    """An attacker's data, read as it is needed: index to (input, target), each a tensor without the batch."""

    def __len__(self) -> int:
        """How many."""

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Pair number `index`, from 0; uint8 stands for [0, 1]."""


class Epoch(NamedTuple):
    """Where a training is: epochs done of how many, mean training loss, validation score (higher is better)."""

    done: int
    epochs: int
    loss: float
    score: float
    """NaN where there is no validation."""
    best: float
    steps_per_second: float


class FitOptions(TypedDict, total=False):
    """Keywords of `fit` that say where and how far it trains, and not what.

    Attributes:
        compute: where, and in which precision of products.
        validation: pairs of people that are in neither training nor test: the best epoch's weights are kept.
        checkpoint: written after each epoch, and gone on from where it exists.
        on_epoch: told after each epoch.
        stop: asked after each epoch; True ends the training with what there is.
    """

    compute: Compute
    validation: Pairs | None
    checkpoint: Path | None
    on_epoch: Callable[[Epoch], None] | None
    stop: Callable[[], bool] | None


@dataclass(frozen=True, kw_only=True)
@ranges({"[1, inf)": "epochs batch", "(0, inf)": "rate", "[0, inf)": "decay"})
class Fitting:
    """How an attacker's network is trained.

    Args:
        epochs: passes over the pairs.
        batch: pairs a step.
        rate: Adam's highest learning rate; it rises over the first 3 % of the steps and falls as a cosine.
        decay: weight decay, apart from the gradient.
        flip: mirror both sides of random pairs. Right only where mirroring the input is what the mirrored face would
            have given: images that the network takes itself, or features made within it.
        seed: of weights, order and mirroring.
    """

    epochs: int = 20
    batch: int = 16
    rate: float = 2e-3
    decay: float = 1e-4
    flip: bool = False
    seed: int = 0


def fit(
    network: nn.Module,
    pairs: Pairs,
    *,
    settings: Fitting,
    loss: Callable[[Tensor, Tensor], Tensor],
    score: Callable[[Tensor, Tensor], Tensor],
    compute: Compute = DEFAULT_COMPUTE,
    validation: Pairs | None = None,
    checkpoint: Path | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> nn.Module:
    """Train a network in place and leave it in eval mode with the weights that the attacker would pick.

    With validation pairs those are the weights of the best epoch, and so in the attacker's favour; else the last.
    On a CPU with the same number of threads the same data and settings give the same bits, interrupted or not.

    Args:
        network: inputs (B, ...) to outputs (B, ...); its weights are trained from where they stand.
        pairs: to train on.
        settings: how.
        loss: outputs and targets, (B, ...) each, to (B,).
        score: likewise, higher is better.
        compute: where, and in which precision of products.
        validation: pairs of people that are in neither training nor test.
        checkpoint: written after each epoch, and gone on from where it exists.
        on_epoch: told after each epoch.
        stop: asked after each epoch; True ends the training with what there is.

    Raises:
        ValueError: no pairs, a loss that is not finite, or a checkpoint of another run.
        OSError: a checkpoint that cannot be read or written.
    """
    run = _Run(network, pairs, settings, loss, checkpoint, compute)
    if checkpoint is not None and checkpoint.exists():
        run.restore(checkpoint)
    while run.epoch < settings.epochs and not run.stopped:
        began = time.perf_counter()
        mean = run.train_epoch()
        seconds = time.perf_counter() - began
        found = math.nan if validation is None else run.validate(validation, score)
        run.keep(found)
        run.stopped = stop is not None and stop()
        if checkpoint is not None:
            run.save(checkpoint)
        if on_epoch is not None:
            on_epoch(Epoch(run.epoch, settings.epochs, mean, found, run.best, run.steps_per_epoch / seconds))
    network.load_state_dict(run.chosen)
    return network.eval()


def affordable_epochs(
    train: Callable[[Pairs, Fitting], object], pairs: Pairs, settings: Fitting, budget: Budget
) -> int:
    """Epochs that fit into a time, at most the settings'; the rate falls over them, so they are settled before.

    Args:
        train: trains once, on few pairs, to take its time.
        pairs: to train on.
        settings: how.
        budget: endless for the settings' own epochs.
    """
    if math.isinf(budget.seconds):
        return settings.epochs
    few = _First(pairs, _TRIAL)
    began = time.perf_counter()
    train(few, replace(settings, epochs=1))
    each = (time.perf_counter() - began) * len(pairs) / len(few)
    return min(settings.epochs, int(budget.left / each))


class _First:
    """The first of some pairs."""

    def __init__(self, pairs: Pairs, most: int) -> None:
        self._pairs, self._most = pairs, most

    def __len__(self) -> int:
        return min(self._most, len(self._pairs))

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self._pairs[index]


Network = TypeVar("Network", bound="nn.Module")


def weights_drawn_from(seed: int, make: Callable[[], Network]) -> Network:
    """Make a network whose weights depend on the seed alone; torch's random state is the caller's again after it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def batch_of(pairs: Pairs, places: list[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Pairs as two batches, float32; uint8 values are divided by 255."""
    inputs, targets = zip(*(pairs[place] for place in places), strict=True)
    return floating(torch.stack(inputs).to(device)), floating(torch.stack(targets).to(device))


def floating(values: Tensor) -> Tensor:
    """float32 in [0, 1] of uint8, and of what is so already."""
    return values.float() / 255 if values.dtype == torch.uint8 else values.float()


class _Run:
    """A training and where it is."""

    def __init__(
        self,
        network: nn.Module,
        pairs: Pairs,
        settings: Fitting,
        loss: Callable[[Tensor, Tensor], Tensor],
        checkpoint: Path | None,
        compute: Compute,
    ) -> None:
        if len(pairs) < 2:
            raise ValueError(f"pairs: expected at least 2 to train on, got {len(pairs)}")
        self.device = choose_device(compute.device)
        self.dtype = choose_precision(compute.precision, self.device)
        self.network, self.pairs, self.settings, self.loss = network.to(self.device), pairs, settings, loss
        self.batch = min(settings.batch, len(pairs))
        self.steps_per_epoch = len(pairs) // self.batch
        weights = [weight for weight in network.parameters() if weight.requires_grad]
        self.optimiser = torch.optim.AdamW(weights, lr=settings.rate, weight_decay=settings.decay)
        self.weights, self.epoch, self.best, self.stopped = weights, 0, -math.inf, False
        self.chosen: dict[str, Tensor] = {}
        self.identity = "" if checkpoint is None else _identity(network, pairs, settings)

    def train_epoch(self) -> float:
        """One pass; the mean loss."""
        generator = np.random.default_rng([self.settings.seed, self.epoch])
        order = generator.permutation(len(self.pairs)).tolist()
        mirrored = generator.random(len(self.pairs)) < 0.5
        self.network.train()
        total = torch.zeros((), device=self.device)
        for step in range(self.steps_per_epoch):
            places = order[step * self.batch : (step + 1) * self.batch]
            inputs, targets = batch_of(self.pairs, places, self.device)
            if self.settings.flip:
                flips = torch.from_numpy(mirrored[places]).to(self.device)
                inputs, targets = _mirror(inputs, flips), _mirror(targets, flips)
            for group in self.optimiser.param_groups:
                group["lr"] = self.settings.rate * self._factor(self.epoch * self.steps_per_epoch + step)
            value = self.loss(self._outputs(inputs), targets).mean()
            self.optimiser.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.weights, _CLIP)
            self.optimiser.step()
            total += value.detach()
        self.epoch += 1
        mean = float(total) / self.steps_per_epoch
        if not math.isfinite(mean):
            raise ValueError(f"epoch {self.epoch}: expected a finite loss, got {mean}; a lower rate may help")
        return mean

    @torch.no_grad()
    def validate(self, pairs: Pairs, score: Callable[[Tensor, Tensor], Tensor]) -> float:
        """Mean score of pairs."""
        self.network.eval()
        found = []
        for first in range(0, len(pairs), self.batch):
            places = list(range(first, min(first + self.batch, len(pairs))))
            inputs, targets = batch_of(pairs, places, self.device)
            found.append(score(self._outputs(inputs), targets))
        return float(torch.cat(found).double().mean())

    def keep(self, score: float) -> None:
        """Keep this epoch's weights if they are the best so far, or nobody can tell."""
        if math.isnan(score) or score > self.best:
            self.best = score
            self.chosen = copy.deepcopy(self.network.state_dict())

    def save(self, path: Path) -> None:
        """Write all that the rest depends on."""
        file = io.BytesIO()
        torch.save(
            {
                "version": _VERSION,
                "identity": self.identity,
                "epoch": self.epoch,
                "best": self.best,
                "chosen": self.chosen,
                "network": self.network.state_dict(),
                "optimiser": self.optimiser.state_dict(),
            },
            file,
        )
        write_atomically(path, file.getvalue())

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            ValueError: it is damaged, or of other data, settings or network.
        """
        try:
            found: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
            if found["version"] != _VERSION:
                raise ValueError(f"version {found['version']}")
        # torch answers a damaged file with almost any exception; for the caller it is all one bad input
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ValueError(f"{path}: expected a checkpoint of an attack's training, got: {reason:.200}") from error
        if found["identity"] != self.identity:
            raise ValueError(f"{path}: expected a checkpoint of the same data, settings and network, got another's")
        self.network.load_state_dict(found["network"])
        self.optimiser.load_state_dict(found["optimiser"])
        self.epoch, self.best, self.chosen = found["epoch"], found["best"], found["chosen"]

    def _outputs(self, inputs: Tensor) -> Tensor:
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
            outputs: Tensor = self.network(inputs)
        return outputs.float()

    def _factor(self, step: int) -> float:
        steps = self.steps_per_epoch * self.settings.epochs
        rise = min(1.0, (step + 1) / max(1.0, _WARMUP * steps))
        return rise * (0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2)


def _mirror(values: Tensor, flips: Tensor) -> Tensor:
    """Mirror images or maps (B, C, h, w) where flips (B,) says so; embeddings (B, D) stay."""
    return torch.where(flips[:, None, None, None], values.flip(3), values) if values.dim() == 4 else values


def _identity(network: nn.Module, pairs: Pairs, settings: Fitting) -> str:
    """What a checkpoint has to be of: settings, network at the start, and a sample of the data."""
    digest = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode())
    digest.update(str(len(pairs)).encode())
    for place in np.linspace(0, len(pairs) - 1, _PRINTED).astype(int).tolist():
        for side in pairs[place]:
            digest.update(side.contiguous().cpu().numpy().tobytes())
    for name, weight in network.state_dict().items():
        digest.update(f"{name} {tuple(weight.shape)}".encode())
        digest.update(weight.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()

"""Training of an adversarial watermark: bits, distance from the person and likeness, meta-optimised over surrogates.

Each step is a first-order meta-step: the loss on all surrogates but one, weights moved by its gradient, the loss on the
surrogate that was held out there, and both gradients together (after DPG's "collaborative meta-optimization"; the form
is MAML's first order, Finn, Abbeel and Levine, 2017). With a single surrogate the held-out one is that very surrogate
behind what providers do to images.
"""

from __future__ import annotations

import io
import math
import pickle
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F

from facemin.autograd.pixels import to_tensor, to_unit
from facemin.cloak.visible_change import dsim
from facemin.cloak.watermark.network import WatermarkNetwork
from facemin.protection.pmt.degradations import ProviderOperations
from facemin.protection.pmt.optimise import StepContext
from facemin.runtime.files import write_atomically
from facemin.runtime.ranges import ranges

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from facemin.cloak.surrogates import Team

_OPERATIONS = ProviderOperations(blur=1.2, resize=0.5, jpeg=50, noise=0.03, shift=3)
_VERSION = 1


@dataclass(frozen=True, kw_only=True)
@ranges({"[1, inf)": "steps batch", "(0, inf)": "rate", "[0, inf)": "inner begin"})
class WatermarkTraining:
    """How a watermark is trained.

    Args:
        steps: of Adam.
        batch: faces a step.
        rate: highest learning rate; falls as a cosine.
        inner: rate of the move to where the held-out surrogate is asked.
        bits: carried.
        width: of the network.
        epsilon: bound of the change, grey levels.
        adversarial: weight of the cosine with the plain face above `margin`.
        margin: cosine below which nothing is gained.
        visible: weight of DSIM above `tau`.
        tau: DSIM that costs nothing.
        begin: steps of bits alone, before the rest counts: a decoder that reads nothing yet is easily lost.
        seed: of weights, faces, bits and operations.
    """

    steps: int = 2000
    batch: int = 8
    rate: float = 1e-3
    inner: float = 1e-3
    bits: int = 32
    width: int = 32
    epsilon: int = 16
    adversarial: float = 4.0
    margin: float = 0.85
    visible: float = 20.0
    tau: float = 0.025
    begin: int = 400
    seed: int = 0


@dataclass(kw_only=True)
class TrainedWatermark:
    """Where a training is.

    Attributes:
        network: as it is now.
        step: steps taken.
        finished: whether all were.
        accuracy: share of bits read right in the last batches, after operations.
        cosine: with the plain face, by the surrogates, in the last batches.
    """

    network: WatermarkNetwork
    step: int
    finished: bool
    accuracy: float
    cosine: float


def train_watermark(
    faces: NDArray[np.uint8],
    team: Team,
    settings: WatermarkTraining,
    *,
    checkpoint: Path,
    on_step: Callable[[TrainedWatermark], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> TrainedWatermark:
    """Train encoder and decoder together; the same call goes on from the checkpoint.

    Args:
        faces: aligned, uint8 RGB (N, 112, 112, 3).
        team: surrogates.
        settings: how.
        checkpoint: written when the training ends or is ended.
        on_step: told after each step.
        stop: asked after each step.

    Raises:
        ValueError: a checkpoint of another training.
        OSError: a checkpoint that cannot be read or written.
    """
    torch.manual_seed(settings.seed)
    network = WatermarkNetwork(bits=settings.bits, width=settings.width, epsilon=settings.epsilon).to(team.device)
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.rate)
    now = TrainedWatermark(network=network, step=0, finished=False, accuracy=0.5, cosine=1.0)
    if checkpoint.is_file():
        now.step = _restore(checkpoint, network, optimiser, settings)
    while now.step < settings.steps and not stop():
        for group in optimiser.param_groups:
            group["lr"] = settings.rate * (0.5 + 0.5 * math.cos(math.pi * now.step / settings.steps))
        dice = np.random.Generator(np.random.Philox(np.random.SeedSequence([settings.seed, now.step])))
        batch = to_unit(to_tensor(faces[dice.integers(0, len(faces), settings.batch)])).to(team.device)
        bits = torch.from_numpy(dice.integers(0, 2, (settings.batch, settings.bits))).float().to(team.device)
        _meta_step(network, optimiser, batch, bits, team, settings, dice, now)
        now.step += 1
        if on_step is not None:
            on_step(now)
    now.finished = now.step >= settings.steps
    _save(checkpoint, network, optimiser, settings, now.step)
    network.eval()
    return now


def _meta_step(
    network: WatermarkNetwork,
    optimiser: torch.optim.Optimizer,
    faces: Tensor,
    bits: Tensor,
    team: Team,
    settings: WatermarkTraining,
    dice: np.random.Generator,
    now: TrainedWatermark,
) -> None:
    with torch.no_grad():
        plain = team(faces) if now.step >= settings.begin else [faces]
    held = int(dice.integers(len(plain)))
    several = len(plain) > 1
    parts = [number for number in range(len(plain)) if number != held] if several else [held]
    named: dict[str, Tensor] = dict(network.named_parameters())

    def loss(weights: dict[str, Tensor], members: list[int], *, before: bool) -> Tensor:
        cloaked = torch.func.functional_call(network, weights, (faces, bits))
        moment = StepContext(tuple(int(seed) for seed in dice.integers(0, 2**62, len(faces))), torch.zeros(len(faces)))
        worked = _OPERATIONS(cloaked, moment).clamp(0, 1)
        logits = torch.func.functional_call(
            _Decoder(network), {f"network.{k}": v for k, v in weights.items()}, (worked,)
        )
        value = F.binary_cross_entropy_with_logits(logits, bits)
        now.accuracy += 0.02 * (float(((logits > 0) == (bits > 0.5)).float().mean()) - now.accuracy)
        if now.step < settings.begin:
            return value + settings.visible * (dsim(cloaked, faces) - 2 * settings.tau).clamp_min(0).mean()
        moved = team(worked if before else cloaked)
        cosines = [(moved[number] * plain[number]).sum(1) for number in members]
        now.cosine += 0.02 * (float(torch.stack(cosines).detach().mean()) - now.cosine)
        away = torch.stack([(each - settings.margin).clamp_min(0).mean() for each in cosines]).mean()
        visible = (dsim(cloaked, faces) - settings.tau).clamp_min(0).mean()
        return value + settings.adversarial * away + settings.visible * visible

    first: tuple[Tensor | None, ...] = (None,) * len(named)
    # while bits alone count, there is no surrogate to hold out
    if now.step >= settings.begin:
        first = torch.autograd.grad(loss(named, parts, before=False), list(named.values()), allow_unused=True)
    moved = {
        name: (value - settings.inner * slope).detach().requires_grad_() if slope is not None else value
        for (name, value), slope in zip(named.items(), first, strict=True)
    }
    second = torch.autograd.grad(loss(moved, [held], before=True), list(moved.values()), allow_unused=True)
    optimiser.zero_grad()
    for value, one, other in zip(named.values(), first, second, strict=True):
        slopes = [slope for slope in (one, other) if slope is not None]
        value.grad = torch.stack(slopes).mean(0) if slopes else None
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()


class _Decoder(torch.nn.Module):
    """The decoder as a module of its own, so that it can be called with other weights."""

    def __init__(self, network: WatermarkNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, faces: Tensor) -> Tensor:
        return self.network.decode(faces)


def _save(
    path: Path, network: WatermarkNetwork, optimiser: torch.optim.Optimizer, settings: WatermarkTraining, step: int
) -> None:
    file = io.BytesIO()
    state = {"version": _VERSION, "settings": asdict(settings), "step": step}
    torch.save(state | {"network": network.state_dict(), "optimiser": optimiser.state_dict()}, file)
    write_atomically(path, file.getvalue())


def _restore(
    path: Path, network: WatermarkNetwork, optimiser: torch.optim.Optimizer, settings: WatermarkTraining
) -> int:
    try:
        found: dict[str, Any] = torch.load(path, weights_only=True)
        same = found["version"] == _VERSION and found["settings"] == asdict(settings)
    except (pickle.UnpicklingError, RuntimeError, KeyError, EOFError, TypeError) as error:
        raise ValueError(f"{path}: expected a checkpoint of a watermark's training, got: {error!s:.200}") from None
    if not same:
        raise ValueError(f"{path}: expected a checkpoint of a training with the same settings, got another's")
    network.load_state_dict(found["network"])
    optimiser.load_state_dict(found["optimiser"])
    return int(found["step"])

"""Settings of the training of a one-pass protector."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import cos, pi
from typing import Any

from facemin.protection.one_pass.decoder_graph import DecoderSize
from facemin.runtime.ranges import ranges
from facemin.train.one_pass.decoder import SIZES
from facemin.train.one_pass.operations import TrainingOperations


@dataclass(frozen=True, kw_only=True)
@ranges(
    {
        "[1, 1024]": "noise",
        "[1, 1e9]": "steps",
        "[2, 65536]": "batch",
        "[1e-8, 1]": "rate",
        "[0, 1e9]": "warmup ramp",
        "[0, 1]": "annealed final weight_decay averaging diversity",
        "[1e-6, 1e6]": "clip",
        "[0, 100]": "diversity_weight smoothness",
        "[0, 0.5]": "paired",
        f"[0, {2**63})": "seed",
    }
)
class FitSettings:
    """What the weights of a one-pass protector depend on, beside the key.

    Args:
        size: widths and depths of the decoder.
        noise: dimensions of its noise.
        steps: steps of the optimiser (AdamW).
        batch: images a step.
        rate: learning rate after the warm-up.
        warmup: steps of linear rise.
        annealed: share of the steps, the last ones, in which the rate falls along half a cosine.
        final: what is left of the rate at the end, as a factor.
        weight_decay: of AdamW.
        clip: longest gradient, as the norm over all weights.
        averaging: decay of the running mean of the weights, which is what is exported.
        ramp: steps in which the operations grow to their full strength.
        operations: what images have to withstand.
        diversity: root mean square difference, in units of [0, 1], below which two images of one target are pushed
            apart; of fields of 8 pixels in the middle of the face, so that an eye sees it.
        diversity_weight: of that term.
        smoothness: weight of the mean square of the chequered pattern of single pixels, which no recogniser needs.
        paired: share of the targets that are painted twice in a batch, for it.
        seed: of weights, targets, noise and operations.

    Raises:
        ValueError: a setting out of range.
    """

    size: DecoderSize = field(default_factory=lambda: SIZES["medium"])
    noise: int = 32
    steps: int = 12_000
    batch: int = 32
    rate: float = 2e-3
    warmup: int = 50
    annealed: float = 0.4
    final: float = 0.02
    weight_decay: float = 1e-4
    clip: float = 1.0
    averaging: float = 0.998
    ramp: int = 800
    operations: TrainingOperations = field(default_factory=TrainingOperations)
    diversity: float = 0.1
    diversity_weight: float = 0.2
    smoothness: float = 0.5
    paired: float = 0.125
    seed: int = 0

    @property
    def constant_until(self) -> int:
        """The step from which the rate falls."""
        return round(self.steps * (1 - self.annealed))

    def rate_at(self, step: int) -> float:
        """Learning rate of a step, from 0."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        if step < self.constant_until:
            return self.rate
        done = (step - self.constant_until) / max(self.steps - self.constant_until, 1)
        return self.rate * (self.final + (1 - self.final) * (1 + cos(pi * done)) / 2)

    def averaging_at(self, step: int) -> float:
        """Decay of the mean of the weights at a step; less at first, so that it forgets the beginning."""
        return min(self.averaging, 1 - 1 / (step / 4 + 2))

    def course(self) -> dict[str, Any]:
        """As JSON has it, without `steps` and `annealed`: what must not change while a run goes on."""
        values: dict[str, Any] = asdict(self)
        for name in ("steps", "annealed"):
            del values[name]
        listed: dict[str, Any] = _listed(values)
        return listed


def _listed(values: Any) -> Any:
    """Tuples as lists, as they come back from JSON."""
    if isinstance(values, dict):
        return {name: _listed(value) for name, value in values.items()}
    return [_listed(value) for value in values] if isinstance(values, (list, tuple)) else values

"""Training loop of a one-pass protector.

No face is needed: for a secret rotation the target is uniform on the sphere, so targets are drawn from there.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from facemin.runtime.files import append_json, write_atomically
from facemin.train.one_pass.decoder import Decoder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

    from facemin.train.one_pass.settings import FitSettings
    from facemin.train.one_pass.target_network import TargetNetwork

VERSION = 1
LOGGED = 20
"""Steps between two lines of the log."""


@dataclass(kw_only=True)
class Fit:
    """A training run between two steps.

    Attributes:
        settings: of the run.
        key: SHA-256 of the key's graph.
        decoder: the weights being trained.
        averaged: their running mean, which is what is exported.
        step: steps done.
        seconds: spent training so far, in all processes.
        earlier: courses, steps and seconds of runs whose weights it began from, the first one first.
    """

    settings: FitSettings
    key: str
    decoder: Decoder
    averaged: Decoder
    optimiser: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    earlier: tuple[dict[str, Any], ...] = ()

    @classmethod
    def start(cls, settings: FitSettings, *, key: str, dimensions: int, device: torch.device) -> Fit:
        """A run before its first step.

        Args:
            settings: of the run.
            key: SHA-256 of the key's graph.
            dimensions: of its space.
            device: where to train.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            decoder = Decoder(target=dimensions, noise=settings.noise, size=settings.size)
        averaged = Decoder(target=dimensions, noise=settings.noise, size=settings.size)
        averaged.load_state_dict(decoder.state_dict())
        for network in (decoder, averaged):
            network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        averaged.requires_grad_(False).eval()
        optimiser = torch.optim.AdamW(
            decoder.parameters(), lr=settings.rate, betas=(0.9, 0.99), weight_decay=settings.weight_decay, fused=True
        )
        return cls(settings=settings, key=key, decoder=decoder, averaged=averaged, optimiser=optimiser)

    def save(self, path: Path) -> None:
        """Write the run's state to a file that is whole at any moment.

        Raises:
            ValueError: weights that are not finite, which no run should go on from.
            OSError: the file cannot be written.
        """
        weights = self.decoder.state_dict()
        bad = [name for name, weight in weights.items() if not bool(weight.isfinite().all())]
        if bad:
            raise ValueError(f"step {self.step}: expected finite weights, got others in {bad[0]}; try a lower rate")
        state = {
            "version": VERSION,
            "key": self.key,
            "course": self.settings.course(),
            "step": self.step,
            "seconds": self.seconds,
            "earlier": list(self.earlier),
            "weights": weights,
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        file = io.BytesIO()
        torch.save(state, file)
        write_atomically(path, file.getvalue())

    def resume(self, path: Path) -> None:
        """Go on from a saved state.

        Only `steps` and `annealed` may differ from the run that wrote it.

        Raises:
            ValueError: no such state, one of another key or of other settings; what differs is named.
            OSError: the file cannot be read.
        """
        found = self._read(path)
        course = self.settings.course()
        differing = [name for name in course if found["course"].get(name) != course[name]]
        if differing:
            raise ValueError(f"{path}: expected a run with the same settings, got another {', '.join(differing)}")
        self.step, self.seconds = int(found["step"]), float(found["seconds"])
        self.earlier = tuple(found["earlier"])

    def begin_from(self, path: Path) -> None:
        """Begin with the weights of another run, of the same key and the same decoder, whatever its other settings.

        Raises:
            ValueError: no such state, or one of another key or decoder.
            OSError: the file cannot be read.
        """
        found = self._read(path)
        own = {"course": found["course"], "step": found["step"], "seconds": round(found["seconds"], 1)}
        self.earlier = (*found["earlier"], own)

    def _read(self, path: Path) -> dict[str, Any]:
        """A saved state, its weights and its optimiser's state already taken over."""
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            version, key, course = (state[name] for name in ("version", "key", "course"))
        except OSError:
            raise
        # torch answers a damaged file with almost any exception; for the caller it is all one bad input
        except Exception as error:
            raise ValueError(f"{path}: expected the state of a training run, got: {str(error)[:200]}") from error
        if version != VERSION:
            raise ValueError(f"{path}: expected a state of version {VERSION}, got {version!r}")
        if key != self.key:
            raise ValueError(f"{path}: expected a run for the key with the graph {self.key}, got {key!r:.80}")
        own = self.settings.course()
        if any(course.get(name) != own[name] for name in ("size", "noise")):
            raise ValueError(f"{path}: expected a run with the same settings, got another size or noise")
        self.decoder.load_state_dict(state["weights"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        return {"earlier": [], **state}

    def run(
        self,
        network: TargetNetwork,
        *,
        precision: torch.dtype,
        log: Path,
        on_step: Callable[[Fit, float], None] | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train to the last step.

        Each step's randomness depends on the seed and the step alone, so that a run that was interrupted ends as one
        that was not.

        Args:
            network: the key's, on the same device.
            precision: of the decoder's convolutions.
            log: a JSONL file that gets a line every 20 steps.
            on_step: called with the run and the batch's mean cosine after each step.
            stop: asked after each step whether to end there.
        """
        recent: list[tuple[float, float, float]] = []
        began, first, before = time.perf_counter(), self.step, self.seconds
        while self.step < self.settings.steps and not stop():
            cosine, difference, norm = self._advance(network, precision)
            self.seconds = before + time.perf_counter() - began
            recent.append((cosine, difference, norm))
            if self.step % LOGGED == 0:
                means = np.mean(recent, 0)
                per_second = (self.step - first) * self.settings.batch / (self.seconds - before)
                line: dict[str, Any] = dict(
                    zip(("cosine", "difference", "gradient"), (round(float(mean), 5) for mean in means), strict=True)
                )
                append_json(
                    log,
                    {
                        "step": self.step,
                        **line,
                        "rate": self.settings.rate_at(self.step - 1),
                        "seconds": round(self.seconds, 1),
                        "targets_per_second": round(per_second, 1),
                    },
                )
                recent.clear()
            if on_step is not None:
                on_step(self, cosine)

    def _advance(self, network: TargetNetwork, precision: torch.dtype) -> tuple[float, float, float]:
        settings, device = self.settings, next(self.decoder.parameters()).device
        rng = np.random.default_rng((settings.seed, self.step))
        targets = sphere(settings.batch, network.dimensions, rng)
        pairs = round(settings.batch * settings.paired)
        targets[:pairs] = targets[pairs : 2 * pairs]
        noise = torch.from_numpy(rng.standard_normal((settings.batch, settings.noise), dtype=np.float32))
        targets, noise = targets.to(device), noise.to(device)
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            coarse = self.decoder.coarse(targets, noise)
        strength = min(1.0, (self.step + 1) / max(settings.ramp, 1))
        images = settings.operations(self.decoder.enlarge(coarse.to(precision)), rng, strength)
        cosines = (network(images) * targets).sum(1)
        loss = (1 - cosines).mean()
        difference = torch.zeros(())
        if pairs:
            differences = visible_difference(coarse[:pairs], coarse[pairs : 2 * pairs])
            difference = differences.mean()
            if settings.diversity:
                missing = F.relu(settings.diversity - differences) / settings.diversity
                loss = loss + settings.diversity_weight * missing.mean()
        if settings.smoothness:
            loss = loss + settings.smoothness * chequered(coarse)
        self.optimiser.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.decoder.parameters(), settings.clip)
        for group in self.optimiser.param_groups:
            group["lr"] = settings.rate_at(self.step)
        self.optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.averaged.parameters()),
                list(self.decoder.parameters()),
                1 - settings.averaging_at(self.step),
            )
        self.step += 1
        return float(cosines.detach().mean()), float(difference.detach()), float(norm)


def visible_difference(one: Tensor, other: Tensor) -> Tensor:
    """Root mean square between two images in the middle of the face, over fields of 8 pixels of 112.

    Args:
        one: (B, 3, 56, 56) in [0, 1].
        other: likewise, of the same targets.

    Returns:
        (B,), differentiable where it is 0 too. What lies outside the middle, a recogniser may not see at all.
    """
    fields = F.avg_pool2d(one.float() - other.float(), 4)[:, :, 3:13, 2:12]
    return (fields.square().mean((1, 2, 3)) + 1e-6).sqrt()


def chequered(images: Tensor) -> Tensor:
    """Mean square of the part of images (B, 3, H, W) that alternates with every pixel, along both axes."""
    even, odd = images.float()[:, :, ::2], images.float()[:, :, 1::2]
    pattern = even[..., ::2] - even[..., 1::2] - odd[..., ::2] + odd[..., 1::2]
    return (pattern / 4).square().mean()


def sphere(count: int, dimensions: int, rng: np.random.Generator) -> Tensor:
    """Points uniform on the sphere, (count, dimensions) float32: what a Haar rotation makes of any unit vector."""
    drawn = rng.standard_normal((count, dimensions), dtype=np.float32)
    return torch.from_numpy(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))

"""Alternating training of recogniser and strategy; interrupted and resumed to the same weights, bit by bit."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from facemin.ahm.data import find_mask, read_people
from facemin.ahm.draws import draw, generator_of
from facemin.ahm.mixing import COUNTS, heaviest, label_entropy
from facemin.ahm.model import Pair, Sight
from facemin.ahm.policy import Baseline, Multiplier, Standards, reinforce
from facemin.ahm.query import MixedQueries
from facemin.ahm.recogniser import MaskedRecogniser, masked_resnet
from facemin.ahm.result import MASK, WEIGHTS, measure_queries, write_record, write_weights
from facemin.runtime.device import choose_device, choose_precision
from facemin.train import log
from facemin.train.checkpoints import CHECKPOINT, Checkpoint, check_fresh, read_checkpoint
from facemin.train.data.sampler import Draw, derived_seed
from facemin.train.progress import Outcome, Progress, Watch
from facemin.train.schedule import rate_factor
from facemin.train.training_module import make_optimiser
from facemin.train.validation import validate

if TYPE_CHECKING:
    from pathlib import Path

    from facemin.ahm.config import AHMConfig

LOG, FACES = "log.jsonl", "faces"
"""In a run's folder, beside its checkpoint."""


def train_ahm(
    config: AHMConfig, *, out: Path, device: str = "auto", resume: bool = False, watch: Watch | None = None
) -> Outcome:
    """Train a recogniser of masked and mixed faces; writes mask, checkpoint, log and, at the end, weights and record.

    On a CPU with the same number of threads the same configuration, with its secret given, gives the same bits,
    whether or not the run was interrupted. torch's random state is the caller's again afterwards.

    Arguments and errors are those of `facemin.train.train`.
    """
    if not resume:
        check_fresh(out)
    where = choose_device(device)
    with torch.random.fork_rng(devices=[where.index or 0] if where.type == "cuda" else []):
        return _Session(config, out, where, watch or Watch()).run(resume=resume)


@dataclass
class Meters:
    """Sums since the last log line."""

    loss: float = 0.0
    steps: int = 0
    counts: list[int] = field(default_factory=lambda: [0] * len(COUNTS))
    reward: float = 0.0
    entropy: float = 0.0
    strategy_steps: int = 0


class _Session:
    def __init__(self, config: AHMConfig, out: Path, device: torch.device, watch: Watch) -> None:
        self.config, self.out, self.device, self.watch = config, out, device, watch
        self.people = read_people(config, cache=out / FACES, on_aligned=watch.on_aligned)
        self.pairs = self.people.pairs
        self.batches = config.batches(len(self.people.pool))
        resumed = (out / CHECKPOINT).exists()
        self.mask = find_mask(config, self.people.pool, self.people.labels, out / MASK, resumed=resumed)
        torch.manual_seed(derived_seed(config.seed, "weights"))
        self.trained = Pair(config, self.mask, len(self.people.names)).to(device)
        recogniser = nn.ModuleList([self.trained.network, self.trained.head])
        self.optimiser = make_optimiser(recogniser, config.optimiser)
        self.strategist = torch.optim.Adam(self.trained.policy.parameters(), lr=config.strategy.rate)
        strategy = config.strategy
        self.baseline = Baseline(momentum=strategy.momentum)
        self.standards = Standards(len(COUNTS))
        self.multiplier = None if strategy.floor is None else Multiplier(strategy.floor, strategy.floor_rate)
        self.dtype = choose_precision(config.precision, device)
        self.sight = Sight(self.trained, self.mask, self.people, batch=config.batch, device=device, dtype=self.dtype)
        self.step, self.seconds, self.meters = 0, 0.0, Meters()
        self.timed_steps, self.timed_seconds = 0, 0.0

    def run(self, *, resume: bool) -> Outcome:
        """From the checkpoint, or the start, to the end, or until asked to stop."""
        steps = self.batches.steps
        if resume and (self.out / CHECKPOINT).exists():
            self._restore()
        log.rewind(self.out / LOG, self.step if self.step else -1)
        began = time.perf_counter() - self.seconds
        if self.step == 0:
            self._evaluate(0.0)
        stopped = False
        for draws in replace(self.batches, start=self.step):
            rate = self._train_step(draws)
            self.seconds = time.perf_counter() - began
            self._log(rate)
            if self.step % self.config.evaluate.every == 0 or self.step == steps:
                self._evaluate(rate)
            stopped = self.step < steps and self.watch.stop is not None and self.watch.stop()
            self.seconds = time.perf_counter() - began
            if stopped or self.step == steps or self.step % self.config.checkpoint_every == 0:
                self._save()
            if stopped:
                break
        return Outcome(self.step, steps, not stopped, None if stopped else self._write_result())

    def _train_step(self, draws: list[Draw]) -> float:
        """A step of the recogniser, and one of the strategy where that is due; the learning rate it took."""
        config, began, step = self.config, time.perf_counter(), self.step
        batches = self.batches
        torch.manual_seed(derived_seed(config.seed, "step", step))
        factor = rate_factor(config.schedule, step, steps_per_epoch=batches.steps_per_epoch, steps=batches.steps)
        rate = config.optimiser.rate * factor
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        places = torch.tensor([draw.place for draw in draws])
        flips = torch.tensor([draw.flip for draw in draws])
        logits = self.sight.logits(places, flips) if config.mixing.kind == "policy" else None
        generator = generator_of(config.seed, "mix", step)
        progress = step / batches.steps
        drawn = draw(config.mixing, places, self.people.labels, logits, generator, progress=progress)
        self.trained.train()
        losses = self.sight.losses(drawn.mixture, flips, annealing=self.trained.head.annealing(step))
        loss = losses.mean()
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if config.optimiser.clip is not None:
            weights = [*self.trained.network.parameters(), *self.trained.head.parameters()]
            torch.nn.utils.clip_grad_norm_(weights, config.optimiser.clip)
        self.optimiser.step()
        self.step += 1
        meters = self.meters
        meters.loss, meters.steps = meters.loss + float(loss.detach()), meters.steps + 1
        for choice in drawn.choices[drawn.choices >= 0].tolist():
            meters.counts[choice] += 1
        due = self.step % config.strategy.every == 0 and self.step >= config.strategy.frozen * batches.steps
        if config.mixing.kind == "policy" and due:
            self._strategy_step(places, flips)
        self.timed_steps += 1
        self.timed_seconds += time.perf_counter() - began
        return rate

    def _strategy_step(self, places: Tensor, flips: Tensor) -> None:
        """One step of REINFORCE, the recogniser standing still."""
        settings, trained = self.config.strategy, self.trained
        trained.eval()
        masked = self.sight.masked(self.sight.alone(places), flips)
        logits = trained.policy(masked)
        generator = generator_of(self.config.seed, "strategy", self.step)
        drawn = draw(self.config.mixing, places, self.people.labels, logits, generator)
        with torch.no_grad():
            alone = self.sight.recognised(self.sight.embedded(masked), places)
            masked = self.sight.masked(drawn.mixture, flips)
            embeddings = self.sight.embedded(masked)
            rewards = self.sight.loss_of(embeddings, drawn.mixture)
            if settings.reward == "excess":
                rewards = rewards - label_entropy(drawn.mixture, self.people.labels).to(rewards)
            kept = self.sight.recognised(embeddings, heaviest(drawn.mixture))
            rewards = rewards - settings.accuracy_cost * (alone.float() - kept.float())
            if settings.standardised:
                rewards = self.standards(rewards, drawn.choices)
            if self.multiplier is not None:
                cost = self.multiplier.step(float(alone.float().mean()))
                rewards = rewards - cost * (drawn.choices / (len(COUNTS) - 1)).to(rewards)
        advantages = self.baseline.advantages(rewards)
        found = reinforce(logits, drawn.choices.to(self.device), advantages, entropy_bonus=settings.entropy_bonus)
        self.strategist.zero_grad()
        found.loss.backward()  # type: ignore[no-untyped-call]
        self.strategist.step()
        self.meters.reward += float(rewards.mean())
        self.meters.entropy += float(found.entropy)
        self.meters.strategy_steps += 1

    def _log(self, rate: float) -> None:
        """Log the loss where that is due, and report the step."""
        steps, meters = self.batches.steps, self.meters
        epoch = self.step / self.batches.steps_per_epoch
        loss = speed = None
        if self.step % self.config.log_every == 0 or self.step == steps:
            loss = self._checked(meters.loss / meters.steps)
            speed = self.timed_steps * self.config.batch / self.timed_seconds
            line: dict[str, Any] = {"step": self.step, "epoch": epoch, "loss": loss, "lr": rate}
            if self.config.mixing.kind != "none":
                line["k"] = {str(count): number for count, number in zip(COUNTS, meters.counts, strict=True)}
            if meters.strategy_steps:
                line["reward"] = meters.reward / meters.strategy_steps
                line["entropy"] = meters.entropy / meters.strategy_steps
                line["baseline"] = self.baseline.value
                if self.multiplier is not None:
                    line["multiplier"] = self.multiplier.value
            log.append(self.out / LOG, line | {"images_per_second": speed, "seconds": self.seconds})
            self.meters = Meters()
            self.timed_steps, self.timed_seconds = 0, 0.0
        if self.watch.on_step is not None:
            self.watch.on_step(Progress(self.step, steps, epoch, loss, rate, speed, None))

    def _checked(self, loss: float) -> float:
        if not math.isfinite(loss):
            raise ValueError(
                f"step {self.step}: expected a finite loss, got {loss}; "
                "a lower optimiser.rate, a longer warm-up or optimiser.clip may help"
            )
        return loss

    def _evaluate(self, rate: float) -> None:
        if self.pairs is None:
            return
        found = validate(self._recogniser(), self.pairs, device=self.device, batch=self.config.evaluate.batch)
        epoch = self.step / self.batches.steps_per_epoch
        log.append(self.out / LOG, {"step": self.step, "epoch": epoch, "evaluation": found._asdict()})
        if self.watch.on_step is not None:
            self.watch.on_step(Progress(self.step, self.batches.steps, epoch, None, rate, None, found))

    def _recogniser(self) -> MaskedRecogniser:
        """The recogniser as it stands, on the same weights."""
        network = masked_resnet(self.mask.shape, **self.config.network.model_dump()).to(self.device)
        network.load_state_dict(self.trained.network.state_dict())
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return MaskedRecogniser(self.mask, network)

    @property
    def _data(self) -> str:
        """What the faces, the people trained on and the mask are."""
        return f"{self.people.fingerprint} {self.mask.fingerprint}"

    def _save(self) -> None:
        state = {
            "recogniser": self.optimiser.state_dict(),
            "strategy": self.strategist.state_dict(),
            "baseline": self.baseline.value,
            "standards": self.standards.sums,
            "multiplier": None if self.multiplier is None else self.multiplier.value,
            "meters": vars(self.meters),
        }
        Checkpoint(
            step=self.step,
            course=self.config.course(),
            data=self._data,
            weights=self.trained.state_dict(),
            optimiser=state,
            loss=self.meters.loss,
            seconds=self.seconds,
        ).write(self.out / CHECKPOINT)

    def _restore(self) -> None:
        path = self.out / CHECKPOINT
        found = read_checkpoint(path, course=self.config.course(), data=self._data)
        try:
            self.trained.load_state_dict(found.weights, strict=True)
            self.optimiser.load_state_dict(found.optimiser["recogniser"])
            self.strategist.load_state_dict(found.optimiser["strategy"])
            self.baseline.value, self.meters = found.optimiser["baseline"], Meters(**found.optimiser["meters"])
            self.standards.sums = found.optimiser["standards"]
            if self.multiplier is not None:
                self.multiplier.value = found.optimiser["multiplier"]
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: expected this run's weights, got: {str(error)[:300]}") from None
        self.step, self.seconds = found.step, found.seconds

    def _write_result(self) -> dict[str, Any]:
        recogniser, settings = self._recogniser(), self.config.network.model_dump(mode="json")
        write_weights(
            self.out / WEIGHTS,
            self.trained.network,
            self.trained.head.weight,
            settings | {"people": self.people.names},
        )
        queries: dict[str, Any] = {}
        if self.pairs is not None:
            batch = self.config.evaluate.batch
            queries["masked"] = measure_queries(recogniser, self.pairs, device=self.device, batch=batch)
            if self.config.query.public:
                mixed = MixedQueries(recogniser, self.people.public, count=self.config.query.count)
                queries["mixed"] = measure_queries(mixed, self.pairs, device=self.device, batch=batch)
        return write_record(
            self.out,
            config=self.config,
            people=self.people,
            mask=self.mask,
            network=self.trained.network,
            device=self.device,
            run={
                "steps": self.step,
                "threads": torch.get_num_threads(),
                "seconds": self.seconds,
                "images_per_second": self.step * self.config.batch / self.seconds,
                "precision": str(self.dtype).removeprefix("torch."),
            },
            queries=queries,
        )

"""The training of a recogniser, from a configuration to an exported graph; interrupted and resumed at will."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from facemin.train import log
from facemin.train.checkpoints import CHECKPOINT, Checkpoint, check_fresh, read_checkpoint, restore
from facemin.train.data.loading import TrainingFaces, load
from facemin.train.data.sampler import derived_seed
from facemin.train.data.sources import open_source
from facemin.train.data.split import split_people
from facemin.train.devices import launch
from facemin.train.progress import Outcome, Progress, Watch
from facemin.train.result import write_result
from facemin.train.schedule import rate_factor
from facemin.train.training_module import TrainingModule, faces_of, layout, make_optimiser
from facemin.train.validation import held_out_pairs, validate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lightning_fabric import Fabric
    from torch import Tensor

    from facemin.evaluation.pairs import VerificationSet
    from facemin.train.config import TrainingConfig

LOG, FACES = "log.jsonl", "faces"
"""In a run's folder, beside its checkpoint."""

# steps between which processes ask one another whether to stop, which costs each a wait for all
_AGREE_EVERY = 16


def train(
    config: TrainingConfig, *, out: Path, device: str = "auto", resume: bool = False, watch: Watch | None = None
) -> Outcome:
    """Train a recogniser; writes checkpoint, log and, at the end, the graph and its record into `out`.

    Deterministic: on a CPU with the same number of threads the same configuration gives the same bits, whether or
    not the run was interrupted. torch's random state is the caller's again afterwards.

    Args:
        config: the run.
        out: its folder.
        device: see `launch`.
        resume: go on from the folder's checkpoint; from the start where there is none.
        watch: hears and steers.

    Raises:
        ValueError: wrong data or settings, a folder with another run, or a loss that is not finite.
        OSError: a file that cannot be read or written.
    """
    if not resume:
        check_fresh(out)
    fabric = launch(device, precision=config.precision)
    with torch.random.fork_rng(devices=[fabric.device.index] if fabric.device.type == "cuda" else []):
        return _Session(config, out, fabric, watch or Watch()).run(resume=resume)


class _Session:
    """One process's part of a run, and where that is."""

    def __init__(self, config: TrainingConfig, out: Path, fabric: Fabric, watch: Watch) -> None:
        self.config, self.out, self.fabric, self.watch = config, out, fabric, watch
        first = fabric.is_global_zero
        with fabric.rank_zero_first():
            self.source = open_source(config.data, cache=out / FACES, write=first, on_aligned=watch.on_aligned)
        self.split = split_people(self.source, config.data)
        self.pairs = self._pairs()
        self.batches = config.batches(
            len(self.split.images),
            accumulate=config.accumulate,
            rank=fabric.global_rank,
            devices=fabric.world_size,
        )
        torch.manual_seed(derived_seed(config.seed, "weights"))
        self.trainee = TrainingModule(config.model, config.head, classes=len(self.split.people))
        self.layout = layout(self.trainee)
        self.trainee.to(memory_format=self.layout)  # type: ignore[call-overload]
        optimiser = make_optimiser(self.trainee, config.optimiser)
        self.module, self.optimiser = fabric.setup(self.trainee, optimiser)
        self.step, self.seconds = 0, 0.0
        self.loss = torch.zeros((), device=fabric.device)
        self.timed_steps, self.timed_seconds = 0, 0.0

    def run(self, *, resume: bool) -> Outcome:
        """From the checkpoint, or the start, to the end, or until asked to stop."""
        steps = self.batches.steps
        if resume and (self.out / CHECKPOINT).exists():
            self._restore()
        if self.fabric.is_global_zero:
            # a run that starts logs its evaluation at step 0 anew
            log.rewind(self.out / LOG, self.step if self.step else -1)
        self.fabric.barrier()
        began = time.perf_counter() - self.seconds
        if self.step == 0:
            self._evaluate(rate=0.0)
        faces = TrainingFaces(self.source, self.split)
        batches = replace(self.batches, start=self.step)
        parts = load(faces, batches, device=self.fabric.device, workers=self.config.data.workers)
        self.trainee.train()
        stopped = False
        while self.step < steps and not stopped:
            rate = self._train_step(parts)
            self.seconds = time.perf_counter() - began
            self._log(rate)
            if self.step % self.config.evaluate.every == 0 or self.step == steps:
                self._evaluate(rate=rate)
            stopped = self.step < steps and self._asked_to_stop()
            self.seconds = time.perf_counter() - began
            if stopped or self.step == steps or self.step % self.config.checkpoint_every == 0:
                self._save()
        record = None if stopped or not self.fabric.is_global_zero else self._write_result()
        self.fabric.barrier()
        return Outcome(self.step, steps, not stopped, record)

    def _pairs(self) -> VerificationSet | None:
        if not self.split.held_out_people:
            return None
        settings = self.config.evaluate
        return held_out_pairs(self.source, self.split, count=settings.pairs, seed=self.config.data.split_seed)

    def _train_step(self, parts: Iterator[tuple[Tensor, Tensor, Tensor]]) -> float:
        """One step of the optimiser; the learning rate it took."""
        config, fabric, began = self.config, self.fabric, time.perf_counter()
        # dropout's random numbers begin anew at each step, so that no state of them has to be kept
        torch.manual_seed(derived_seed(config.seed, "step", self.step, fabric.global_rank))
        batches = self.batches
        factor = rate_factor(config.schedule, self.step, steps_per_epoch=batches.steps_per_epoch, steps=batches.steps)
        rate = config.optimiser.rate * factor
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        annealing = self.trainee.head.annealing(self.step)
        for part in range(config.accumulate):
            pixels, labels, flips = next(parts)
            with fabric.no_backward_sync(self.module, enabled=part + 1 < config.accumulate):
                loss = (
                    self.module(faces_of(pixels, flips, memory_format=self.layout), labels, annealing=annealing)
                    / config.accumulate
                )
                fabric.backward(loss)
            self.loss += loss.detach()
        if config.optimiser.clip is not None:
            fabric.clip_gradients(self.module, self.optimiser, max_norm=config.optimiser.clip)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.step += 1
        self.timed_steps += 1
        self.timed_seconds += time.perf_counter() - began
        return rate

    def _log(self, rate: float) -> None:
        """Log the loss where that is due, and report the step."""
        every, steps = self.config.log_every, self.batches.steps
        loss = speed = None
        if self.step % every == 0 or self.step == steps:
            loss = self._loss_so_far() / (self.step % every or every)
            speed = self.timed_steps * self.config.batch / self.timed_seconds
            self.loss.zero_()
            self.timed_steps, self.timed_seconds = 0, 0.0
        if not self.fabric.is_global_zero:
            return
        progress = Progress(self.step, steps, self.step / self.batches.steps_per_epoch, loss, rate, speed, None)
        if loss is not None:
            line = {"step": self.step, "epoch": progress.epoch, "loss": loss, "lr": rate}
            log.append(self.out / LOG, line | {"images_per_second": speed, "seconds": self.seconds})
        self._report(progress)

    def _loss_so_far(self) -> float:
        """Sum of the steps' losses since the last log line, the mean of all devices.

        Raises:
            ValueError: it is not finite.
        """
        self.loss.copy_(self._mean(self.loss))
        if not bool(self.loss.isfinite()):
            raise ValueError(
                f"step {self.step}: expected a finite loss, got {float(self.loss)}; "
                "a lower optimiser.rate, a longer warm-up or optimiser.clip may help"
            )
        return float(self.loss)

    def _evaluate(self, *, rate: float) -> None:
        if self.pairs is not None and self.fabric.is_global_zero:
            settings = self.config.evaluate
            network, device = self.trainee.network, self.fabric.device
            found = validate(network, self.pairs, device=device, batch=settings.batch)
            epoch = self.step / self.batches.steps_per_epoch
            log.append(self.out / LOG, {"step": self.step, "epoch": epoch, "evaluation": found._asdict()})
            self._report(Progress(self.step, self.batches.steps, epoch, None, rate, None, found))
        self.fabric.barrier()

    def _report(self, progress: Progress) -> None:
        if self.watch.on_step is not None:
            self.watch.on_step(progress)

    def _asked_to_stop(self) -> bool:
        """Whether to end here: every process has to find the same."""
        alone = self.fabric.world_size == 1
        if self.watch.stop is None or not (alone or self.step % _AGREE_EVERY == 0):
            return False
        return bool(self._mean(torch.tensor(float(self.watch.stop()), device=self.fabric.device)) > 0)

    def _mean(self, number: Tensor) -> Tensor:
        """The mean of all processes' numbers, ()."""
        mean = self.fabric.all_reduce(number, reduce_op="mean")
        assert isinstance(mean, torch.Tensor)
        return mean

    @property
    def _data(self) -> str:
        """What the faces and the people trained on are."""
        people = "\0".join(self.split.people).encode("utf-8", "surrogateescape")
        return hashlib.sha256(self.source.fingerprint.encode() + people).hexdigest()

    def _save(self) -> None:
        loss = self._loss_so_far()
        if self.fabric.is_global_zero:
            Checkpoint(
                step=self.step,
                course=self.config.course(),
                data=self._data,
                weights=self.trainee.state_dict(),
                optimiser=self.optimiser.state_dict(),
                loss=loss,
                seconds=self.seconds,
            ).write(self.out / CHECKPOINT)
        self.fabric.barrier()

    def _restore(self) -> None:
        path = self.out / CHECKPOINT
        found = read_checkpoint(path, course=self.config.course(), data=self._data)
        restore(found, self.trainee, self.optimiser, name=str(path))
        self.step, self.seconds = found.step, found.seconds
        self.loss.fill_(found.loss)

    def _write_result(self) -> dict[str, Any]:
        return write_result(
            self.trainee.network,
            config=self.config,
            out=self.out,
            source=self.source,
            split=self.split,
            pairs=self.pairs,
            device=self.fabric.device,
            run={
                "steps": self.step,
                "devices": self.fabric.world_size,
                "threads": torch.get_num_threads(),
                "seconds": self.seconds,
                "images_per_second": self.step * self.config.batch / self.seconds,
            },
        )

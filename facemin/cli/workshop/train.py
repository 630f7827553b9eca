"""Commands `train`: recognisers from faces, plain or masked."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar

from cyclopts import App, Parameter
from rich.console import Console
from rich.markup import escape

from facemin.cli.shared.bar import counting_bar
from facemin.cli.shared.options import Device, Json
from facemin.cli.shared.output import available_device, print_json, say
from facemin.cli.shared.signals import INTERRUPTED, ending_signals

if TYPE_CHECKING:
    from collections.abc import Callable

    from facemin.ahm.config import AHMConfig
    from facemin.train import Outcome, Progress, Watch
    from facemin.train.config import TrainingConfig

    Settings = TypeVar("Settings", TrainingConfig, AHMConfig)

app = App(name="train", help="Train networks on faces.")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class RunFlags:
    """Where a run's faces are, where it writes, and where it computes."""

    data: Annotated[Path | None, Parameter(help="Folder of the faces, in place of the configuration's.")] = None
    out: Annotated[
        Path | None, Parameter(help="Folder for checkpoint, log, record and what is trained; runs/NAME by default.")
    ] = None
    resume: Annotated[
        bool, Parameter(negative="", help="Go on from the folder's checkpoint; from the start where there is none.")
    ] = False
    device: Device = "auto"

    def run(
        self, read: Callable[[Path], Settings], train: Callable[..., Outcome], config: Path
    ) -> tuple[Callable[[Watch], Outcome], Path]:
        """What trains by a configuration's file, and the folder that it writes into.

        Raises:
            ValueError: a wrong configuration, or a folder that cannot be written.
        """
        from facemin.cli.shared.places import check_folder

        settings = read(config)
        if self.data is not None:
            settings = settings.model_copy(update={"data": settings.data.model_copy(update={"root": self.data})})
        folder = self.out or Path("runs") / config.stem
        check_folder("--out", folder)
        where = available_device(self.device)
        return lambda watch: train(settings, out=folder, device=where, resume=self.resume, watch=watch), folder


AS_CONFIGURED = RunFlags()


@app.command
def recogniser(
    config: Annotated[Path, Parameter(help="A training configuration, TOML; see docs/training.md.")],
    /,
    *,
    given: RunFlags = AS_CONFIGURED,
    as_json: Json = False,
) -> int:
    """Train a recogniser, and export it as an ONNX graph beside its record.

    Ctrl-C ends the run after the step at hand with a checkpoint; --resume goes on to the same weights. On several
    devices: torchrun --nproc-per-node N -m facemin train recogniser CONFIG.toml.

    Exit status: 0 when done, 128 plus the signal's number when a signal ended it, 2 on wrong input.
    """
    from facemin.train import read_config, train
    from facemin.train.devices import is_first_process

    console = Console(stderr=True, quiet=not is_first_process())
    run, folder = given.run(read_config, train, config)
    return _watched(run, console, lambda done: _close(console, done, folder, as_json=as_json))


@app.command
def ahm(
    config: Annotated[Path, Parameter(help="A configuration of AHM or a baseline, TOML; see docs/ahm.md.")],
    /,
    *,
    given: RunFlags = AS_CONFIGURED,
    as_json: Json = False,
) -> int:
    """Train a recogniser on masked and mixed faces, and the strategy network that mixes against it (AHM).

    Ctrl-C ends the run after the step at hand with a checkpoint; --resume goes on to the same weights.

    Exit status: 0 when done, 128 plus the signal's number when a signal ended it, 2 on wrong input.
    """
    from facemin.ahm import read_ahm_config, train_ahm

    console = Console(stderr=True)
    run, folder = given.run(read_ahm_config, train_ahm, config)
    return _watched(run, console, lambda done: _close_ahm(console, done, folder, as_json=as_json))


def _watched(run: Callable[[Watch], Outcome], console: Console, close: Callable[[Outcome], None]) -> int:
    """Run with a display, ended by signals; the exit status."""
    from facemin.train import Watch
    from facemin.train.devices import is_first_process

    with ending_signals() as caught, _Display(console) as display:

        def aligned(photos: int, of: int) -> None:
            display.aligned(photos, of)
            if caught:
                raise KeyboardInterrupt

        try:
            done = run(Watch(on_step=display.step, on_aligned=aligned, stop=lambda: bool(caught)))
        except KeyboardInterrupt:
            return INTERRUPTED + signal.SIGINT
    if not done.finished:
        say(console, f"Stopped after step {done.step} of {done.steps}; go on with --resume")
        return INTERRUPTED + caught[0]
    if is_first_process():
        close(done)
    return 0


class _Display:
    """A bar on a terminal; elsewhere a line for each evaluation."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = counting_bar(console, worded=True)
        self._task = self._bar.add_task("Reading", total=None, text="")
        self._text = ""

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def aligned(self, done: int, of: int) -> None:
        self._bar.update(self._task, description="Aligning", completed=done, total=of)

    def step(self, progress: Progress) -> None:
        if progress.loss is not None:
            self._text = f"epoch {progress.epoch:.2f}  loss {progress.loss:.3f}  {progress.images_per_second:.0f}/s"
        self._bar.update(
            self._task, description="Training", completed=progress.step, total=progress.steps, text=self._text
        )
        if (found := progress.validation) is not None:
            say(
                self._console,
                f"step {progress.step}: accuracy {found.accuracy:.2%}, EER {found.eer:.2%} "
                f"on {found.pairs:,} pairs of people held out",
            )


def _close(console: Console, done: Outcome, folder: Path, *, as_json: bool) -> None:
    record: dict[str, Any] = done.record or {}
    if as_json:
        print_json(record)
        return
    evaluation, run = record["evaluation"], record["run"]
    say(console, f"{done.steps:,} steps in {run['seconds']:.0f} s, {run['images_per_second']:.1f} images/s")
    if evaluation is not None:
        low, high = evaluation["accuracy"]["identity_bootstrap"]
        say(
            console,
            f"accuracy {evaluation['accuracy']['mean']:.2%} (95 % {low:.2%} to {high:.2%}), "
            f"EER {evaluation['eer']:.2%} on {evaluation['n']['pairs']:,} pairs of people held out",
        )
    say(console, f"Recogniser: {escape(str(folder / record['recogniser']['file']))}")


def _close_ahm(console: Console, done: Outcome, folder: Path, *, as_json: bool) -> None:
    record: dict[str, Any] = done.record or {}
    if as_json:
        print_json(record)
        return
    run = record["run"]
    say(console, f"{done.steps:,} steps in {run['seconds']:.0f} s, {run['images_per_second']:.1f} images/s")
    for reading, found in record["queries"].items():
        low, high = found["accuracy_interval"]
        say(
            console,
            f"queries {reading}: accuracy {found['accuracy']:.2%} (95 % {low:.2%} to {high:.2%}), "
            f"EER {found['eer']:.2%} on {found['pairs']:,} pairs of people held out",
        )
    say(console, f"Recogniser: {escape(str(folder / record['recogniser']['file']))}, beside its mask")

"""Command `key fit-protector`: a one-pass network for one key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.markup import escape

from facemin.cli.shared.bar import counting_bar
from facemin.cli.shared.options import Device, Json
from facemin.cli.shared.output import available_device, print_json, say
from facemin.cli.shared.signals import INTERRUPTED, ending_signals

if TYPE_CHECKING:
    from facemin.train.one_pass.loop import Fit

RunFolder = Annotated[Path | None, Parameter(help="Folder of the run's state, log and record; OUT.run when not given.")]
Earlier = Annotated[
    Path | None, Parameter(help="state.pt of another run for this key, whose weights a new run begins with.")
]
NOTED = 100
"""Steps between two lines where the output is no terminal."""


def fit_protector(
    key: Annotated[Path, Parameter(help="A provider key that ends in a space: a vector of unit length.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="The protector file to write, say protector.onnx.")],
    run: RunFolder = None,
    begin_from: Earlier = None,
    size: Annotated[
        Literal["small", "medium", "large"], Parameter(help="About one, four or ten million parameters.")
    ] = "medium",
    steps: Annotated[int | None, Parameter(help="Steps of training; the recipe's when not given.")] = None,
    batch: Annotated[int | None, Parameter(help="Images a step; the recipe's when not given.")] = None,
    seed: Annotated[int, Parameter(help="Of weights, targets, noise and operations.")] = 0,
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"], Parameter(help="Of the convolutions, in training alone.")
    ] = "auto",
    device: Device = "auto",
    as_json: Json = False,
) -> int:
    """Train a network that protects for a key in one pass; no face is needed.

    Ctrl-C ends the run after the step at hand with its state on disk; the same command goes on from there.

    Exit status: 0 when done, 128 plus the signal's number when a signal ended it, 2 on wrong input.
    """
    from facemin.keys.key import Key
    from facemin.train.one_pass.decoder import SIZES
    from facemin.train.one_pass.fit import fit_protector as fit
    from facemin.train.one_pass.settings import FitSettings

    settings = FitSettings(size=SIZES[size], seed=seed)
    settings = replace(
        settings, steps=settings.steps if steps is None else steps, batch=settings.batch if batch is None else batch
    )
    loaded = Key.load(key)
    console = Console(stderr=True)
    folder = run or out.with_name(f"{out.name}.run")
    with ending_signals() as caught, counting_bar(console, worded=True) as bar:
        task = bar.add_task("Training", total=settings.steps, text="")
        recent: list[float] = []

        def step(fitted: Fit, cosine: float) -> None:
            recent[:] = [*recent[1 - NOTED :], cosine]
            text = f"cosine {sum(recent) / len(recent):.3f}"
            bar.update(task, completed=fitted.step, text=text)
            if not console.is_terminal and fitted.step % NOTED == 0:
                say(console, f"step {fitted.step} of {settings.steps}: {text}")

        done = fit(
            loaded,
            settings,
            folder=folder,
            begin_from=begin_from,
            device=available_device(device),
            precision=precision,
            on_step=step,
            stop=lambda: bool(caught),
        )
    if not done.finished:
        say(console, f"Stopped after step {done.step} of {done.steps}; the same command goes on from there")
        return INTERRUPTED + caught[0]
    done.protector.save(out)
    if as_json:
        print_json(done.record)
        return 0
    after = ", ".join(f"{name} {value:.3f}" for name, value in done.record["cosines"].items())
    say(console, f"{done.steps:,} steps in {done.record['seconds']:.0f} s; cosine to the target: {after}")
    say(console, f"Protector: {escape(str(out))}, {len(done.protector.data):,} bytes; record in {escape(str(folder))}")
    return 0

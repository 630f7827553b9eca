"""Commands `bench`: experiments, and the report of their records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from cyclopts import App, Parameter
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from facemin.cli.shared.options import INTERRUPTED, Device, Json, Landmarks, Models
from facemin.cli.shared.output import available_device, errors, note, print_json, say, tell

if TYPE_CHECKING:
    from facemin.experiments import Place

app = App(name="bench", help="Experiments: measure, and report what was measured.")

Shared = Annotated[
    Path | None, Parameter(help="The research folder: LFW in data/lfw, recognisers in models unless --models is given.")
]
Kept = Annotated[
    Path | None, Parameter(help="Folder of protected images that files share, so that none is made twice.")
]
STEADY = 600.0
"""Seconds over which the speed is averaged: images finish in bunches."""


@app.command
def run(
    file: Annotated[Path, Parameter(help="An experiment, TOML; see experiments/pmt.")],
    /,
    *,
    quick: Annotated[bool, Parameter(negative="", help="A few pairs and steps, to see that it runs.")] = False,
    shared: Shared = None,
    data: Annotated[
        Path | None, Parameter(help="A .bin or a folder with one folder per person, in place of the file's data.")
    ] = None,
    pairs: Annotated[Path | None, Parameter(help="Of --data: its list of pairs; else they are drawn.")] = None,
    landmarks: Landmarks = None,
    models: Models = None,
    out: Annotated[
        Path | None, Parameter(help="Folder of the records; results/ and the name of the file's folder by default.")
    ] = None,
    pictures: Annotated[
        int, Parameter(help="Faces a cell to draw into OUT/pictures. They show people: keep them to yourself.")
    ] = 0,
    kept: Kept = None,
    device: Device = "auto",
    as_json: Json = False,
) -> int:
    """Measure the cells of an experiment, and append a record of each to OUT/NAME.jsonl.

    A cell that has a record of the same settings, faces and weights is passed over: run it again to go on.

    Exit status: 0 when done, 130 when Ctrl-C ended it, 2 on wrong input.
    """
    from facemin.cli.shared.places import check_folder
    from facemin.experiments import Watch, find_data, read_experiment
    from facemin.experiments import run as measure
    from facemin.experiments.layouts.pictures import Painter

    experiment = read_experiment(file)
    place = find_data(experiment.data, shared=shared, given=_given(data, pairs, landmarks))
    folder = out or Path("results") / file.resolve().parent.name
    check_folder("--out", folder)
    where = available_device(device)
    painter = Painter(folder, pictures) if pictures > 0 else None
    try:
        with _Display(errors()) as display:
            done = measure(
                experiment,
                name=file.stem,
                place=place,
                models=models or (None if shared is None else shared / "models"),
                out=folder,
                quick=quick,
                device=where,
                watch=Watch(on_progress=display.show, on_faces=painter),
                kept=kept,
            )
    except KeyboardInterrupt:
        note("stopped; what is measured stays, and the same command goes on")
        return INTERRUPTED
    if as_json:
        print_json({"file": done.file, "measured": done.measured, "passed_over": done.passed_over})
        return 0
    tell(f"{done.file}: {len(done.measured)} cells measured, {len(done.passed_over)} passed over")
    return 0


@app.command
def report(
    folder: Annotated[Path, Parameter(help="Folder of records, with those below it.")] = Path("results"),
    /,
    *,
    out: Annotated[Path | None, Parameter(help="The HTML file; report.html in the folder by default.")] = None,
    pictures: Annotated[
        bool, Parameter(negative="", help="Put drawn faces in. They show people: keep the file to yourself.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Write one HTML file of all records: tables beside the paper's figures, with counts and intervals, and plots."""
    from facemin.cli.shared.places import check_file
    from facemin.experiments.layouts.report import write_report

    if out is not None:
        check_file("--out", out)

    done = write_report(folder, out=out, pictures=pictures)
    missed = done.shortfall
    if as_json:
        print_json(
            {
                "file": done.file,
                "experiments": done.experiments,
                "passed_over": done.passed_over,
                "empty": missed.empty,
                "changed": missed.changed,
            }
        )
        return 0
    if done.passed_over:
        note(f"without a section, {len(done.passed_over)} files: {', '.join(map(str, done.passed_over))}")
    for one in done.files:
        if one.changed:
            note(f"by changed code, {one.changed} of {one.records} records of {one.name}")
    for words, cells in (("without a record", missed.empty), ("by changed code", missed.changed)):
        if cells:
            note(f"{words}: {'; '.join(cells)}")
    measured = f", {missed.cells - len(missed.empty)} of {missed.cells} cells measured" if missed.cells else ""
    tell(f"{done.file}: {len(done.experiments)} experiments{measured}")
    return 0


def _given(data: Path | None, pairs: Path | None, landmarks: Path | None) -> Place | None:
    from facemin.experiments import Place

    if data is None:
        if pairs is not None or landmarks is not None:
            raise ValueError("--pairs, --landmarks: expected --data that they belong to, got none")
        return None
    return Place(data.stem if data.is_file() else data.resolve().name, data, pairs, landmarks)


class _Display:
    """A bar on a terminal; elsewhere a line for each stage."""

    def __init__(self, console: Console) -> None:
        self._console, self._stage = console, ""
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
            speed_estimate_period=STEADY,
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def show(self, stage: str, done: float, of: float) -> None:
        """Say how far a stage is."""
        if stage != self._stage:
            self._stage = stage
            self._bar.reset(self._task, description=stage, total=of)
            if not self._console.is_terminal:
                say(self._console, escape(stage))
        self._bar.update(self._task, completed=done, total=of)

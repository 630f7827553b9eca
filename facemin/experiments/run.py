"""Run of an experiment: cells measured and recorded, those measured before passed over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from facemin.evaluation import provenance
from facemin.evaluation.judge import Judge, Plain
from facemin.evaluation.networks import Distance, find_recogniser
from facemin.experiments.cell import Setting, make_key, measure_cell, resolved_settings
from facemin.experiments.faces import load_faces
from facemin.experiments.store.records import CellEntry, Header, Record, append, digest, read_records, write_header
from facemin.runtime.device import choose_device

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import torch
    from torch import Tensor

    from facemin.experiments.experiment import Experiment
    from facemin.experiments.faces import Faces, Place
    from facemin.experiments.settings import Cell
    from facemin.models import Recogniser

FORWARD = 0.4
"""What judging a face costs, as a share of an optimisation step: a forward pass alone."""


def _silent(stage: str, done: float, of: float) -> None:
    del stage, done, of


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What is told of a run's progress, and who may take pictures.

    Attributes:
        on_progress: called with the stage, how much of it is done, and of how much.
        on_faces: called with a measured cell's record, its plain probes (N, 3, 112, 112) and what they became.
    """

    on_progress: Callable[[str, float, float], None] = _silent
    on_faces: Callable[[Record, Tensor, Tensor], None] | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run did.

    Attributes:
        file: of the records.
        measured: names of the cells that were measured now.
        passed_over: of those that had been before.
    """

    file: Path
    measured: tuple[str, ...]
    passed_over: tuple[str, ...]


def run(
    experiment: Experiment,
    *,
    name: str,
    place: Place,
    models: Path | None,
    out: Path,
    quick: bool = False,
    device: str = "auto",
    watch: Watch | None = None,
    kept: Path | None = None,
) -> Outcome:
    """Measure the cells of an experiment that have no record yet.

    A cell has one when settings, faces and weights are the same; another version of the code does not count.

    Args:
        experiment: what to measure.
        name: of it; records go to `NAME.jsonl` in `out`, those of a quick run to `NAME.quick.jsonl`, and the experiment
            as it is now, for the report, to `NAME.header.json`.
        place: where the faces lie.
        models: folder of ONNX files for networks that are not known by name; None for none.
        out: folder of the records.
        quick: few pairs and few steps, to see that it runs.
        device: where to compute.
        watch: told of the progress.
        kept: folder in which protected images are kept, so that cells that protect alike with the same commit share
            them, whichever file they stand in; they show people. None for none.

    Raises:
        ValueError: data or models that are not there or do not fit, or records that cannot be read.
        OSError: a file that cannot be read or written.
    """
    watch, where = watch or Watch(), choose_device(device)
    file = out / f"{name}{'.quick' if quick else ''}.jsonl"
    known = {record.identity for record in read_records(file)}
    networks = {judge: find_recogniser(judge, models) for judge in experiment.judges.names}
    cells = experiment.cells(quick=quick)
    for cell in cells:
        for key in cell.keys:
            make_key(networks[key.recogniser], key, cell.method)
    distance = None if experiment.distance is None else Distance(experiment.distance, models, where)
    weights = {judge: network.fingerprint for judge, network in networks.items()}
    if distance is not None:
        weights[distance.name] = distance.sha256
    faces = _faces(experiment, place, quick=quick, watch=watch)
    settings = {cell.name: digest(resolved_settings(experiment, cell, quick=quick, device=where)) for cell in cells}
    identities = {cell.name: digest([settings[cell.name], faces.sha256, weights]) for cell in cells}
    # of cells that are one measurement, the first is recorded
    alike = {identities[cell.name]: cell.name for cell in reversed(cells)}
    todo = [cell for cell in cells if identities[cell.name] not in known and alike[identities[cell.name]] == cell.name]
    header = _header(experiment, name, cells, settings)
    write_header(file, header)
    if todo:
        setting = Setting(
            experiment=experiment,
            header=header,
            quick=quick,
            device=where,
            faces=faces,
            judges=_judges(experiment, networks, faces, where, watch),
            distance=distance,
            weights=weights,
            code=provenance.code_state(),
            kept=kept,
        )
        _measure(setting, todo, identities, file, watch)
    names = tuple(cell.name for cell in todo)
    return Outcome(file=file, measured=names, passed_over=tuple(cell.name for cell in cells if cell.name not in names))


def _faces(experiment: Experiment, place: Place, *, quick: bool, watch: Watch) -> Faces:
    counts = experiment.quick if quick else experiment.data
    return load_faces(
        place,
        genuine=counts.genuine,
        impostor=counts.impostor,
        calibration=counts.calibration,
        seed=experiment.seed,
        on_images=lambda done, of: watch.on_progress("Reading faces", done, of),
    )


def _judges(
    experiment: Experiment, networks: dict[str, Recogniser], faces: Faces, device: torch.device, watch: Watch
) -> dict[str, Judge]:
    judges: dict[str, Judge] = {}
    for name, network in networks.items():
        watch.on_progress("Measuring thresholds", len(judges), len(networks))
        judges[name] = Judge.calibrate(
            network,
            name=name,
            probes=faces.probes,
            others=faces.others,
            plain=Plain(faces.plain, faces.people, faces.impostors),
            far=experiment.judges.far,
            device=device,
        )
    watch.on_progress("Measuring thresholds", len(judges), len(networks))
    return judges


def _measure(setting: Setting, todo: list[Cell], identities: dict[str, str], file: Path, watch: Watch) -> None:
    sizes = [_size(setting, cell) for cell in todo]
    total, done = sum(map(sum, sizes)), 0.0
    watch.on_progress("Measuring", done, total)
    for cell, (protecting, judging) in zip(todo, sizes, strict=True):

        def advance(share: float, before: float = done, size: float = protecting) -> None:
            watch.on_progress("Measuring", before + share * size, total)

        measured = measure_cell(setting, cell, identity=identities[cell.name], advance=advance)
        append(file, measured.record)
        if watch.on_faces is not None:
            watch.on_faces(measured.record, setting.faces.probes, measured.images)
        done += protecting + judging
        watch.on_progress("Measuring", done, total)


def _size(setting: Setting, cell: Cell) -> tuple[float, float]:
    """About how long protecting and judging take, in optimisation steps of one face."""
    count, noise = len(setting.faces.probes), setting.experiment.noise
    steps = 0 if cell.method is None else getattr(cell.method, "steps", 0) * len(cell.keys)
    looks = len(setting.experiment.operations) + (0 if noise is None else 2 * len(noise.bounds))
    return float(count * steps), FORWARD * count * len(setting.judges) * looks


def _header(experiment: Experiment, name: str, cells: list[Cell], settings: dict[str, str]) -> Header:
    return Header(
        name=name,
        **{field: getattr(experiment, field) for field in ("title", "source", "remark", "layout", "paper")},
        kappa=experiment.judges.kappa,
        opponent=experiment.judges.opponent,
        noise_kappa=() if experiment.noise is None else experiment.noise.kappa,
        cells=tuple(
            CellEntry(
                name=cell.name, series=cell.series, point=cell.point, paper=cell.paper, settings=settings[cell.name]
            )
            for cell in cells
        ),
    )

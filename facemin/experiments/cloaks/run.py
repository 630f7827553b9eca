"""From an experiment on cloaks to its records; fits and embeddings that were made before are taken up again."""

from __future__ import annotations

import platform
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from facemin.evaluation import provenance
from facemin.evaluation.networks import Distance, find_recogniser
from facemin.experiments.cloaks.measure import Photos, PlainSide, cloaked_photos, embedded, looked_up, quality, unit
from facemin.experiments.cloaks.people import Photographs, load_people
from facemin.experiments.cloaks.records import CloakRecord, LookedUp, read_cloak_records
from facemin.experiments.store.records import digest, rounded
from facemin.runtime.compute import Compute
from facemin.runtime.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from facemin.experiments.cloaks.settings import CloakExperiment, CloakSettings
    from facemin.models import Recogniser


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an experiment finds things and leaves them.

    Attributes:
        shared: the research folder, with LFW and models.
        out: of the records; fits and embeddings lie in `work` below it.
        stop: asked between people; True ends the run with what there is, and the same call goes on.
        tell: told what is under way.
    """

    shared: Path
    out: Path
    stop: Callable[[], bool] = lambda: False
    tell: Callable[[str], None] = field(default=print)


def run_cloaks(experiment: CloakExperiment, place: Place, *, name: str) -> bool:
    """Measure the cloaks of an experiment that have no record yet.

    Args:
        experiment: what to measure.
        place: where things lie.
        name: of it; records go to `NAME.cloaks.jsonl` in `out`.

    Returns:
        Whether all are measured.

    Raises:
        ValueError: data or models that are not there, or records that cannot be read.
        OSError: a file that cannot be read or written.
    """
    file, models = place.out / f"{name}.cloaks.jsonl", place.shared / "models"
    known = {record.identity for record in read_cloak_records(file)}
    judges = {judge: find_recogniser(judge, models) for judge in experiment.judges}
    place.tell("reading faces")
    data = _photographs(experiment, place)
    distance = None if experiment.distance is None else Distance(experiment.distance, models)
    finished = True
    for cloak in experiment.cloak:
        settings = _described(cloak)
        prints = {judge: network.fingerprint for judge, network in judges.items()}
        identity = digest([settings, data.sha256, prints, experiment.seed, list(experiment.fars)])
        if identity in known:
            continue
        fitted = _fits(cloak, data, experiment.seed, place, models)
        if fitted is None or place.stop():
            finished = False
            continue
        plain = {judge: _plain_side(network, data, place) for judge, network in judges.items()}
        place.tell(f"{cloak.name}: measuring")
        removing = cloak.adaptive and len(fitted[0][0]) == 1
        photos = _cloaked(place, identity, data, fitted[0], removing=cloak.attacked if removing else 0)
        found = looked_up(
            photos,
            judges,
            plain,
            fars=experiment.fars,
            purifiers=cloak.purifiers,
            attacked=cloak.attacked,
            adaptive=cloak.adaptive,
            keep=partial(_kept, place, identity),
        )
        if found is None:
            finished = False
            continue
        code = provenance.code_state()
        record = CloakRecord(
            identity=identity,
            experiment=name,
            cloak=settings,
            people=len(fitted[0]),
            probes=experiment.data.probes,
            data=experiment.data.model_dump() | {"seed": experiment.seed, "sha256": data.sha256},
            judges=prints,
            quality={key: rounded(values) for key, values in quality(photos, distance).items()},
            fit_seconds=tuple(fitted[1]),
            looked_up={
                judge: {
                    condition: LookedUp(
                        scores=rounded(looked.scores),
                        accepted={far: tuple(flags.tolist()) for far, flags in looked.accepted.items()},
                        ranks=tuple(looked.ranks.tolist()),
                    )
                    for condition, looked in conditions.items()
                }
                for judge, conditions in found.items()
            },
            commit=code.commit,
            dirty=code.dirty,
            versions=provenance.versions(),
            machine=f"{platform.machine()}, {torch.get_num_threads()} threads",
            time=datetime.now(UTC),
        )
        with _opened(file) as lines:
            lines.write(record.model_dump_json() + "\n")
    return finished


def _photographs(experiment: CloakExperiment, place: Place) -> Photographs:
    """The people's photos, kept as arrays where all have one size, since cutting faces out takes a minute."""
    file = place.out / "work" / f"people-{digest([experiment.data.model_dump(), experiment.seed])[:16]}.npz"
    if not file.is_file():
        data = load_people(experiment.data, place.shared, seed=experiment.seed)
        if len({photos.shape for photos in data.photos}) > 1:
            return data
        buffer = BytesIO()
        np.savez(
            buffer,
            photos=np.stack(data.photos),
            points=np.stack(data.points),
            sha256=data.sha256,
            faces=data.faces,
            distractors=data.distractors,
            impostors=data.impostors,
        )
        write_atomically(file, buffer.getvalue())
        return data
    with np.load(file) as kept:
        return Photographs(
            photos=list(kept["photos"]),
            points=list(kept["points"]),
            faces=kept["faces"],
            distractors=kept["distractors"],
            impostors=kept["impostors"],
            fit=experiment.data.fit,
            sha256=str(kept["sha256"]),
        )


def _opened(file: Path) -> Any:
    file.parent.mkdir(parents=True, exist_ok=True)
    return file.open("a", encoding="utf-8")


def _described(cloak: CloakSettings) -> dict[str, Any]:
    return cloak.model_dump() | {"settings": {"kind": type(cloak.cloak).__name__, **asdict(cloak.cloak)}}  # type: ignore[call-overload]


def _fits(
    cloak: CloakSettings, data: Photographs, seed: int, place: Place, models: Path
) -> tuple[list[NDArray[Any]], list[float]] | None:
    """Changes of each person's photos, and the seconds each took; None where the run was ended before all are there."""
    people = min(cloak.people or len(data.photos), len(data.photos))
    surrogates = [find_recogniser(name, models) for name in cloak.surrogates]
    described = _described(cloak)["settings"], [each.fingerprint for each in surrogates], cloak.precision
    folder = place.out / "work" / digest([described, data.sha256, seed])[:16]
    changes, seconds = [], []
    for person in range(people):
        file = folder / f"{person}.npz"
        if not file.is_file():
            if place.stop():
                place.tell(f"{cloak.name}: stopped after {person} of {people} people")
                return None
            began = time.perf_counter()
            faces = data.faces[person]
            compute = Compute(device="cpu", precision=cloak.precision)
            fitted = cloak.cloak.fit(faces[: data.fit], surrogates, seed=seed + person, compute=compute)
            own = getattr(fitted, "change", None)
            if own is None:
                # what works photo by photo is slow, and the photos that are learnt from are not looked up
                made = np.zeros(faces.shape, np.int16)
                made[data.fit :] = fitted.changes(faces[data.fit :])
            else:
                made = own[None]
            _save(file, change=made, seconds=np.float64(time.perf_counter() - began))
            place.tell(f"{cloak.name}: person {person + 1} of {people}")
        with np.load(file) as kept:
            changes.append(kept["change"])
            seconds.append(round(float(kept["seconds"]), 2))
    return changes, seconds


def _plain_side(recogniser: Recogniser, data: Photographs, place: Place) -> PlainSide:
    file = place.out / "work" / f"plain-{digest([recogniser.fingerprint, data.sha256])[:16]}.npz"
    if not file.is_file():
        place.tell(f"embedding plain faces: {recogniser.name}")
        people, taken = data.faces.shape[:2]
        rows = embedded(recogniser, unit(data.faces)).view(people, taken, -1)
        _save(
            file,
            people=rows.numpy(),
            distractors=embedded(recogniser, unit(data.distractors)).numpy(),
            impostors=embedded(recogniser, unit(data.impostors)).numpy(),
        )
    with np.load(file) as kept:
        return PlainSide(**{name: torch.from_numpy(kept[name]) for name in ("people", "distractors", "impostors")})


def _cloaked(place: Place, identity: str, data: Photographs, changes: list[NDArray[Any]], *, removing: int) -> Photos:
    """A cell's cloaked faces, from the run before where that had come so far."""
    file = place.out / "work" / f"cloaked-{identity[:16]}.npz"
    if not file.is_file():
        made = cloaked_photos(data, changes, removing=removing)
        _save(file, cloaked=made.cloaked, **made.removed)
    with np.load(file) as kept:
        rest = {name: kept[name] for name in kept.files if name != "cloaked"}
        return Photos(
            plain=data.faces[: len(changes)],
            cloaked=kept["cloaked"],
            removed=rest,
            probes=slice(data.fit + 1, data.faces.shape[1]),
            enrolled=data.fit,
        )


def _kept(
    place: Place, identity: str, judge: str, embeddings: Callable[[], dict[str, Tensor]]
) -> dict[str, Tensor] | None:
    """A judge's embeddings of a cell, from the run before where that had come so far."""
    file = place.out / "work" / f"seen-{digest([identity, judge])[:16]}.npz"
    if not file.is_file():
        if place.stop():
            place.tell(f"stopped before {judge}")
            return None
        _save(file, **{name: rows.numpy() for name, rows in embeddings().items()})
        place.tell(f"measured by {judge}")
    with np.load(file) as kept:
        return {name: torch.from_numpy(kept[name]) for name in kept.files}


def _save(file: Path, **arrays: Any) -> None:
    buffer = BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_atomically(file, buffer.getvalue())

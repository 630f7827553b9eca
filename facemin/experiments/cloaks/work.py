"""What an experiment on cloaks keeps between runs, below its folder `work`: faces, fits and embeddings."""

from __future__ import annotations

import time
from dataclasses import asdict
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from facemin.evaluation.networks import find_recogniser
from facemin.experiments.cloaks.measure import PlainSide, embedded
from facemin.experiments.cloaks.people import Photographs, load_people
from facemin.experiments.cloaks.photos import Photos, cloaked_photos, unit
from facemin.experiments.store.records import digest
from facemin.runtime.compute import Compute
from facemin.runtime.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from facemin.experiments.cloaks.run import Place
    from facemin.experiments.cloaks.settings import CloakExperiment, CloakSettings
    from facemin.models import Recogniser


def photographs(experiment: CloakExperiment, place: Place) -> Photographs:
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


def described(cloak: CloakSettings) -> dict[str, Any]:
    """A cloak's settings as records have them, every default written out."""
    return cloak.model_dump() | {"settings": {"kind": type(cloak.cloak).__name__, **asdict(cloak.cloak)}}  # type: ignore[call-overload]


def fits(
    cloak: CloakSettings, data: Photographs, seed: int, place: Place
) -> tuple[list[NDArray[Any]], list[float]] | None:
    """Changes of each person's photos, and the seconds each took; None where the run was ended before all are there."""
    people = min(cloak.people or len(data.photos), len(data.photos))
    surrogates = [find_recogniser(name, place.shared / "models") for name in cloak.surrogates]
    method = described(cloak)["settings"], [each.fingerprint for each in surrogates], cloak.precision
    folder = place.out / "work" / digest([method, data.sha256, seed])[:16]
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


def plain_side(recogniser: Recogniser, data: Photographs, place: Place) -> PlainSide:
    """A recogniser's embeddings of all plain faces."""
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


def cloaked(place: Place, identity: str, data: Photographs, changes: list[NDArray[Any]], *, removing: int) -> Photos:
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


def kept(
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

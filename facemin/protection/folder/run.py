"""Folder protection: places of results, what is done already, and failures."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facemin.image import Skipped, encode
from facemin.protection.folder.inputs import PROTECTED, photos_among, state_of
from facemin.protection.folder.job import FolderJob
from facemin.protection.photo import protect_photos
from facemin.protection.result import Failure, ProtectedFace, ProtectedPhoto
from facemin.runtime.errors import in_words
from facemin.runtime.files import PRIVATE, all_or_none, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from facemin.face import Face
    from facemin.protection.contract import OnStep


@dataclass(frozen=True, kw_only=True)
class FolderResult:
    """A photo whose results lie in the folder.

    Attributes:
        source: the photo.
        record: the path of its record, `b.protected.json`.
        faces: number of faces.
        unreached: by key id, the faces whose residual to it was not met: its provider may not recognise them. Only
            keys with such faces are in it.
        at_edge: faces left out at the photo's edge.
        seconds: wall time of its slowest face.
        notes: of how the photo was read; see `Photo.notes`.
        steps: of the face that took most.
        others: faces left out because they are not the person's whose secret was used.
        unfound: carriers in which the device's own detector does not find one face: a service may find none either.
    """

    source: Path
    record: Path
    faces: int
    unreached: dict[str, int]
    at_edge: int
    seconds: float
    steps: int
    notes: tuple[str, ...] = ()
    others: int = 0
    unfound: int = 0

    @property
    def short(self) -> bool:
        """Whether something of the photo was not done: a face left out, or one that may not be recognised."""
        return bool(self.unreached or self.at_edge or self.others or self.unfound)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What there is to do.

    Attributes:
        todo: sources with the path, without suffix, of their results.
        done: sources whose results are there.
        failures: sources that cannot be protected.
        skipped: what else lies in the folders: nothing in them is passed over in silence.
        short: those of `done` whose record says that something of them was not done.
        folders: where results lie.
    """

    todo: dict[Path, Path]
    done: list[Path]
    failures: list[Failure]
    skipped: list[Skipped] = field(default_factory=list)
    short: list[FolderResult] = field(default_factory=list)
    folders: frozenset[Path] = frozenset()


def plan(inputs: Iterable[Path], job: FolderJob) -> Plan:
    """List the photos among files and folders, folders recursively, linked ones too (see `walk`).

    A photo found in a folder keeps its place: `a/b.jpg` in it becomes `out/a/b.*`; a file named by itself becomes
    `out/name.*`. Two photos that would become the same file: the second is a failure, and nothing is overwritten.
    """
    failures: list[Failure] = []
    skipped: list[Skipped] = []
    photos = list(photos_among(inputs, ours=PROTECTED, failures=failures, skipped=skipped, out=job.out))
    places = {job.out / relative.with_suffix("") for _, relative in photos}
    targets: dict[Path, Path] = {}
    todo: dict[Path, Path] = {}
    done: list[Path] = []
    short: list[FolderResult] = []
    for source, relative in photos:
        target = job.out / relative.with_suffix("")
        stem, number = _marked(target.name, job)
        if stem and target.with_name(stem) in places:
            reason = f"expected a name of its own, got one like that of the other faces of {stem}.*; rename one of them"
            failures.append(Failure(name=str(source), reason=reason))
            continue
        if target in targets:
            if targets[target] != source:
                reason = f"expected a name of its own, got the same result {target}.* as {targets[target]}"
                failures.append(Failure(name=str(source), reason=reason))
            continue
        other = _owner(target)
        if other is None and stem and number:
            other = _owner(target.with_name(stem), number=number)
        if other is not None and other != source.resolve() and other.exists():
            reason = f"expected a name of its own, got the same result {target}.* as {other}, protected before"
            failures.append(Failure(name=str(source), reason=reason))
            continue
        targets[target] = source
        earlier = done_before(source, target, job)
        if earlier is not None:
            done.append(source)
            short += [earlier] if earlier.short else []
        else:
            todo[source] = target
    folders = frozenset(target.parent for target in targets)
    return Plan(todo=todo, done=done, failures=failures, short=short, skipped=skipped, folders=folders)


def protect_into(plan: Plan, job: FolderJob, *, on_step: OnStep | None = None) -> Iterator[FolderResult | Failure]:
    """Protect a plan's photos; see `protect_each`."""
    return protect_each(plan.todo.items(), job, on_step=on_step)


def protect_each(
    photos: Iterable[tuple[Path, Path]], job: FolderJob, *, on_step: OnStep | None = None
) -> Iterator[FolderResult | Failure]:
    """Protect photos; each is written as soon as it is ready, its record last.

    Args:
        photos: as in `Plan.todo`, each with the path of its results; drawn as fast as faces are protected.
        job: how.
        on_step: see `protect`.

    Yields:
        One result a photo, in order of finishing.

    Raises:
        ValueError: settings out of range. Unreadable photos, photos without a face and files that cannot be
            written are yielded as failures.
    """
    targets: dict[str, tuple[Path, Path, dict[str, object]]] = {}

    def sources() -> Iterator[Path]:
        for source, target in photos:
            targets[str(source)] = source, target, _state_before(source)
            yield source

    results = protect_photos(
        sources(),
        keys=job.keys,
        secret=None if job.secret is None else job.opened_secret[0],
        purpose=job.purpose,
        origin=job.origin,
        epoch=job.epoch,
        method=job.settings,
        linkable=job.linkable,
        one_image=job.one_image,
        seed=job.seed,
        upload=job.upload,
        detector=job.detector,
        aligned=job.aligned,
        keep_photo=job.paste,
        max_pixels=job.max_pixels,
        allow_revealing=job.allow_revealing,
        compute=job.compute,
        on_step=on_step,
    )
    for result in results:
        source, target, state = targets.pop(result.name)
        if isinstance(result, Failure):
            yield result
        elif not result.faces:
            yield Failure(name=result.name, reason=result.verdict)
        else:
            try:
                yield _write(result, source, target, job, state)
            except (OSError, ValueError) as error:
                yield Failure(name=result.name, reason=f"could not be written: {in_words(error)}")


def _marked(name: str, job: FolderJob) -> tuple[str, int]:
    """For a name like that of a photo's further file: the photo's own, and which of its files; else nothing."""
    stem, _, number = name.rpartition(".")
    if stem and number.isdecimal():
        return stem, int(number)
    marks = [f".{key.manifest.key_id}" for key in job.keys] if job.linkable and not job.one_image else []
    return next(((name.removesuffix(mark), 1) for mark in marks if name.endswith(mark)), ("", 0))


def _record(target: Path) -> Path:
    return target.with_name(target.name + ".protected.json")


def _owner(target: Path, *, number: int = 1) -> Path | None:
    """The photo whose result a record there names, if it has so many faces."""
    try:
        record = json.loads(_record(target).read_bytes())
        return Path(record["source"]["path"]) if len(record["files"]) >= number else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def done_before(source: Path, target: Path, job: FolderJob) -> FolderResult | None:
    """What the record of a photo says that is done under these settings; None where it is not done."""
    try:
        record = json.loads(_record(target).read_bytes())
        whole = (
            record["job"] == job.digest
            and record["source"] == state_of(source)
            and all((target.parent / name).is_file() for name in record["files"])
        )
        return _earlier(source, target, record) if whole else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _state_before(source: Path) -> dict[str, object]:
    """A photo's state before it is read, so that one which changes meanwhile is not taken for done.

    Where it cannot be asked for, a state that no photo has: reading it says why.
    """
    try:
        return state_of(source)
    except (OSError, ValueError):
        return {"path": os.path.abspath(source)}  # noqa: PTH100 - a path's own method raises in a circle of links


def _write(
    result: ProtectedPhoto, source: Path, target: Path, job: FolderJob, state: dict[str, object]
) -> FolderResult:
    # two names that a disk does not tell apart (a.jpg, A.jpg) are one result, which the plan cannot know
    if (other := _owner(target)) is not None and other != source.resolve() and other.exists():
        raise ValueError(f"{target}.*: expected a name of its own, got that of the results of {other}")
    # from here to the new record there is none: an interruption must not leave an old one beside new files
    _forget(target)
    first = target.with_name(f"{target.name}.protected{result.suffix}")
    with all_or_none() as written:
        written += result.save(first, exif=job.exif)
        if job.paste:
            pasted = target.with_name(target.name + ".pasted.png")
            write_atomically(pasted, encode(result.pasted(), exif=result.exif if job.exif else None))
            written.append(pasted)
        record = _told(result, job, state, [path.name for path in written])
        # it describes the plain photo
        write_atomically(_record(target), json.dumps(record, indent=1).encode(), mode=PRIVATE)
    return FolderResult(
        source=source,
        record=_record(target),
        faces=len({id(face.face) for face in result.faces}),
        unreached=result.unreached,
        at_edge=len(result.at_edge),
        seconds=max(face.done.seconds for face in result.faces),
        notes=result.notes,
        others=len(result.others),
        unfound=sum(not face.found for face in result.faces),
        steps=max(face.done.steps for face in result.faces),
    )


def _told(result: ProtectedPhoto, job: FolderJob, state: dict[str, object], names: list[str]) -> dict[str, object]:
    """The record of a photo's results."""
    record: dict[str, object] = {
        "source": state,
        "job": job.digest,
        "files": names,
        "faces": [_face(face) for face in result.faces],
        "at_edge": _left_out(result.at_edge),
        "notes": result.notes,
    }
    if result.secret is not None:
        record["others"] = _left_out(result.others)
        record["pseudonym"] = {
            "secret": result.secret,
            "purpose": job.purpose,
            "origin": job.origin,
            "epoch": job.epoch,
        }
    return record


def _earlier(source: Path, target: Path, record: dict[str, Any]) -> FolderResult:
    faces = record["faces"]
    return FolderResult(
        source=source,
        record=_record(target),
        faces=len({tuple(face["box"]) for face in faces}),
        unreached=dict(Counter(key for face in faces for key in face["unmet"])),
        at_edge=len(record["at_edge"]),
        others=len(record.get("others", [])),
        unfound=sum(not face.get("carrier", {}).get("found", True) for face in faces),
        seconds=max(face["seconds"] for face in faces),
        steps=max(face["steps"] for face in faces),
    )


def _forget(target: Path) -> None:
    """Remove an older result: the record first, then the files that it lists."""
    record = _record(target)
    try:
        names = json.loads(record.read_bytes())["files"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return
    record.unlink()
    for name in names:
        if Path(name).name == name and name.startswith(target.name + "."):
            (target.parent / name).unlink(missing_ok=True)


def _left_out(faces: Sequence[Face]) -> list[dict[str, Any]]:
    return [{"box": face.box, "score": face.score} for face in faces]


def _face(face: ProtectedFace) -> dict[str, Any]:
    names = [key.manifest.key_id for key in face.keys]
    carrier = {} if face.done.file is None else {"carrier": face.done.file.told}
    return {
        **carrier,
        "box": face.face.box,
        "points": face.face.points.tolist(),
        "score": face.face.score,
        "inside": face.inside,
        "steps": face.done.steps,
        "residuals": dict(zip(names, face.done.residuals, strict=True)),
        "reached": face.done.reached,
        "revealing": str(face.revealing) if face.revealing is not None else None,
        "unmet": [names[number] for number in face.done.unmet],
        "seconds": face.done.seconds,
    }

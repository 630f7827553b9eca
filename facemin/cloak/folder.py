"""Photos of a person cloaked into a folder, or uncloaked: what goes where, what is done already, and what failed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from facemin.cloak.lay import lay
from facemin.cloak.registration import SIGNIFICANT, register, significance
from facemin.face import TEMPLATE, Detector, is_aligned, nearest_to_centre
from facemin.image import MAX_PIXELS, Skipped, decode, encode
from facemin.protection.folder.inputs import PROTECTED, photos_among, state_of
from facemin.protection.result import Failure
from facemin.runtime.errors import NoFace, in_words
from facemin.runtime.files import PRIVATE, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from facemin.cloak.mask_file import Mask

Whom = Literal["largest", "centre", "all"]
"""Whose face is the mask's person's: the largest, that nearest to the photo's centre, or all of them."""
Format = Literal["png", "jpeg"]
SUFFIXES: dict[Format, str] = {"png": ".png", "jpeg": ".jpg"}
RECORD = ".cloaked.json"
OURS = (".cloaked.png", ".cloaked.jpg", ".uncloaked.png", ".uncloaked.jpg", RECORD, ".uncloaked.json", *PROTECTED)
"""Endings of what we write ourselves; a folder that is walked again is not cloaked twice, nor what was protected."""


@dataclass(frozen=True, kw_only=True)
class CloakJob:
    """How photos are cloaked into a folder.

    Args:
        mask: the person's.
        out: the folder; made when needed.
        remove: take the mask off in place of putting it on.
        whom: whose face it goes on.
        form: of the results; PNG keeps every value, and so what removing needs.
        quality: of JPEG, 1 to 100.
        exif: keep the photo's EXIF; dropped otherwise.
        detector: finds the faces.
        max_pixels: most pixels that a photo may have.
    """

    mask: Mask
    out: Path
    remove: bool = False
    whom: Whom = "largest"
    form: Format = "png"
    quality: int = 95
    exif: bool = False
    detector: Detector = field(default_factory=Detector)
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        if self.whom not in get_args(Whom) or self.form not in SUFFIXES:
            raise ValueError(
                f"whom, form: expected one of {', '.join(get_args(Whom))} and of {', '.join(SUFFIXES)}, "
                f"got {self.whom!r} and {self.form!r}"
            )
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality: expected 1 to 100, got {self.quality}")

    @property
    def word(self) -> str:
        """What results are called."""
        return "uncloaked" if self.remove else "cloaked"

    @property
    def digest(self) -> str:
        """SHA-256 of what the result depends on, beside the photo."""
        parts = [self.mask.fingerprint, self.word, self.whom, self.form, self.quality, self.exif]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class CloakPlan:
    """What there is to do.

    Attributes:
        todo: photos, each with the path, without suffix, of its result.
        done: photos whose results are there.
        failures: what cannot be done.
        skipped: what else lies in the folders.
        folders: where results lie.
    """

    todo: dict[Path, Path]
    done: list[Path]
    failures: list[Failure]
    skipped: list[Skipped]
    folders: set[Path] = field(default_factory=set)


@dataclass(frozen=True, kw_only=True)
class CloakedPhoto:
    """A photo whose result lies in the folder.

    Attributes:
        source: the photo.
        file: the result.
        faces: on which the mask was put, or from which it was taken.
        others: faces that were left as they are.
        exact: the landmarks were those of the record that cloaking left beside the photo, not found by the mask.
        notes: of how the photo was read; see `Photo.notes`.
    """

    source: Path
    file: Path
    faces: int
    others: int
    exact: bool = False
    notes: tuple[str, ...] = ()


def plan_cloaking(inputs: Iterable[Path], job: CloakJob) -> CloakPlan:
    """List the photos among files and folders, folders recursively.

    A photo found in a folder keeps its place: `a/b.jpg` in it becomes `out/a/b.cloaked.png`; a file named by itself
    becomes `out/name.cloaked.png`. Two photos that would become the same file: the second is a failure.
    """
    made = CloakPlan(todo={}, done=[], failures=[], skipped=[])
    targets: dict[Path, Path] = {}
    found = photos_among(
        inputs,
        # of a folder, cloaking takes what is not cloaked, and uncloaking what is
        ours=tuple(ending for ending in OURS if not (job.remove and ending.startswith(".cloaked."))),
        failures=made.failures,
        skipped=made.skipped,
        out=None if job.remove else job.out,
        wanted=lambda path: not job.remove or path.stem.endswith(".cloaked"),
        kind="cloaked photos (*.cloaked.png, *.cloaked.jpg)" if job.remove else "photos",
    )
    for source, relative in found:
        target = job.out / relative.with_suffix("")
        if job.remove and target.name.endswith(".cloaked"):
            target = target.with_name(target.name.removesuffix(".cloaked"))
        other = targets.setdefault(target, source)
        made.folders.add(target.parent)
        recorded = _record(target, job.word)
        if other == source and recorded and Path(recorded["source"]["path"]) != source.resolve():
            other = Path(recorded["source"]["path"])
        if other != source and other.exists():
            reason = f"expected a name of its own, got the same result {target}.{job.word}.* as {other}"
            made.failures.append(Failure(name=str(source), reason=reason))
        elif recorded and _is_done(recorded, source, target, job):
            made.done.append(source)
        else:
            made.todo[source] = target
    return made


def cloak_into(plan: CloakPlan, job: CloakJob) -> Iterator[CloakedPhoto | Failure]:
    """Cloak a plan's photos, or uncloak them; each is written as soon as it is made, its record last."""
    for source, target in plan.todo.items():
        try:
            yield _cloak(source, target, job)
        except (OSError, ValueError) as error:
            yield Failure(name=str(source), reason=in_words(error))


def _cloak(source: Path, target: Path, job: CloakJob) -> CloakedPhoto:
    earlier = _record(target, job.word)
    # two names that a disk does not tell apart (a.jpg, A.jpg) are one result, which the plan cannot know
    if earlier and (other := Path(earlier["source"]["path"])) != source.resolve() and other.exists():
        raise ValueError(f"{target}.*: expected a name of its own, got that of the result of {other}")
    # before it is read: a photo that changes meanwhile must not be taken for done
    state = state_of(source)
    photo = decode(source, max_pixels=job.max_pixels)
    known = _known_points(source, job) if job.remove else None
    points, others = _whose(photo.pixels, job, str(source)) if known is None else (known, 0)
    if job.remove and known is None:
        faces = len(points)
        points = _registered(photo.pixels, job.mask, points, str(source))
        others += faces - len(points)
    elif not job.remove:
        faces = len(points)
        points = _plain(photo.pixels, job.mask, points, str(source))
        others += faces - len(points)
    changes = np.broadcast_to(job.mask.change, (len(points), *job.mask.change.shape))
    pixels = lay(photo.pixels, changes, points, remove=job.remove)
    form: Any = job.form.upper()
    data = encode(pixels, format=form, quality=job.quality, exif=photo.exif if job.exif else None)
    file, record = _result(target, job), target.with_name(f"{target.name}.{job.word}.json")
    # from here to the new record there is none: an interruption must not leave an old one beside a new photo
    record.unlink(missing_ok=True)
    if earlier and earlier["source"]["path"] == str(source.resolve()):
        # made of this photo in another format, maybe with another mask, and without a record now
        for suffix in SUFFIXES.values():
            if (older := f"{target.name}.{job.word}{suffix}") == earlier.get("file") != file.name:
                file.with_name(older).unlink(missing_ok=True)
    write_atomically(file, data)
    said = {
        "source": state,
        "job": job.digest,
        "mask": job.mask.fingerprint,
        "file": file.name,
        "sha256": hashlib.sha256(data).hexdigest(),
        "points": points.tolist(),
        "others": others,
        "notes": photo.notes,
    }
    # it says where the plain photo lies, and which mask is on the face
    write_atomically(record, json.dumps(said, indent=1).encode(), mode=PRIVATE)
    return CloakedPhoto(
        source=source, file=file, faces=len(points), others=others, exact=known is not None, notes=photo.notes
    )


def _whose(pixels: NDArray[np.uint8], job: CloakJob, name: str) -> tuple[NDArray[np.float32], int]:
    """Landmarks (N, 5, 2) of the faces that the mask is for, and how many others there are."""
    if is_aligned(pixels):
        return TEMPLATE.astype(np.float32)[None], 0
    found = job.detector(pixels)
    if not found:
        raise NoFace(f"{name}: expected a photo with a face, found none")
    if job.whom == "all":
        return np.stack([face.points for face in found]), 0
    face = found[0] if job.whom == "largest" else nearest_to_centre(found, *pixels.shape[:2])
    return face.points[None], len(found) - 1


def _registered(pixels: NDArray[np.uint8], mask: Mask, points: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """Landmarks (N, 5, 2) at which the mask lies, of those faces that have it on."""
    found = [register(pixels, mask.change, each) for each in points]
    there = [each.points for each in found if each.significance >= SIGNIFICANT]
    if not there:
        most = max(each.significance for each in found)
        raise ValueError(
            f"{name}: expected a face with this mask on it, found no trace of the mask (correlation of {most:.1f} "
            f"standard deviations, expected {SIGNIFICANT:g})"
        )
    return np.stack(there).astype(np.float32)


def _plain(pixels: NDArray[np.uint8], mask: Mask, points: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """Landmarks (N, 5, 2) of those faces that do not have the mask on: twice the change is no better a cloak."""
    found = np.array([significance(pixels, mask.change, each) for each in points])
    if found.min() >= SIGNIFICANT:
        raise ValueError(
            f"{name}: expected a plain face, got one that has this mask on already (correlation of {found.max():.1f} "
            f"standard deviations, expected below {SIGNIFICANT:g}); cloak the photo that it was made from"
        )
    return points[found < SIGNIFICANT]


def _known_points(source: Path, job: CloakJob) -> NDArray[np.float32] | None:
    """The landmarks at which this very photo was cloaked, where the record beside it says so.

    Raises:
        ValueError: it was cloaked with another mask.
    """
    if not source.stem.endswith(".cloaked"):
        return None
    recorded = _record(source.with_name(source.stem.removesuffix(".cloaked")), "cloaked")
    if recorded is None or recorded.get("sha256") != hashlib.sha256(source.read_bytes()).hexdigest():
        return None
    if recorded.get("mask") != job.mask.fingerprint:
        raise ValueError(
            f"{source}: expected the mask {str(recorded.get('mask'))[:16]} that the record beside it names, got "
            f"{job.mask.fingerprint[:16]}, which would not take that one off"
        )
    try:
        points = np.array(recorded["points"], np.float32)
    except (KeyError, TypeError, ValueError):
        return None
    return points if points.ndim == 3 and points.shape[1:] == (5, 2) and len(points) else None


def _result(target: Path, job: CloakJob) -> Path:
    return target.with_name(f"{target.name}.{job.word}{SUFFIXES[job.form]}")


def _record(target: Path, word: str) -> dict[str, Any] | None:
    try:
        record = json.loads(target.with_name(f"{target.name}.{word}.json").read_bytes())
        return record if isinstance(record["source"]["path"], str) else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _is_done(recorded: dict[str, Any], source: Path, target: Path, job: CloakJob) -> bool:
    file = _result(target, job)
    return recorded.get("job") == job.digest and recorded["source"] == state_of(source) and file.is_file()

"""Face pairs of an audit: photos and their protected images, aligned; photos alone are protected first."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from facemin.attack.contract import PublicFaces
from facemin.audit.inputs.audit_inputs import Faces
from facemin.audit.inputs.files import Files, Match, PlacedFile, list_files, match, people_of
from facemin.autograd.pixels import to_tensor, to_unit
from facemin.datasets import Folder
from facemin.evaluation.compare import load_face
from facemin.face import Detector, align_unrounded, faces_in, is_aligned
from facemin.image import decode
from facemin.protection import DEFAULT_PROTECTOR, PROTECTORS, Failure, Protector
from facemin.protection.folder.job import FolderJob
from facemin.protection.folder.run import Plan, protect_into
from facemin.runtime.compute import Compute
from facemin.runtime.errors import in_words, without_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from facemin.attack.budget import Budget
    from facemin.keys.key import Key

Kind = TypeVar("Kind")

EACH, MOST_EACH = 2, 4
"""Photos a person that an audit compares, and of which it makes use where their protected images were given."""


@dataclass(frozen=True, kw_only=True)
class Protecting:
    """How photos without protected images are protected.

    Args:
        keys: for whom; at least one.
        out: folder of the results.
        seed: see `facemin.protection.protect`.
        device: see `facemin.runtime.device.choose_device`.
        method: of the protection.
    """

    keys: Sequence[Key]
    out: Path
    seed: int | None = None
    device: str = "auto"
    method: Protector = PROTECTORS[DEFAULT_PROTECTOR]


def read_faces(
    inputs: Sequence[Path], protecting: Protecting, *, most: int, tell: Callable[[str], None] | None = None
) -> Faces:
    """Read what an audit works on.

    Args:
        inputs: photos and protected images, or folders of them; photos alone are protected.
        protecting: how.
        most: people who are audited, two photos each, four where their protected images are given; or photos where
            nobody says who is on them; the first ones.
        tell: told what is being done.

    Raises:
        ValueError: no photo, or no protected face with a photo of its own among them.
    """
    say = tell or (lambda _: None)
    files = list_files(inputs)
    remarks: list[str] = []
    untested: list[str] = []
    if files.protected:
        pairs, unpaired = match(files)
        untested += unpaired
        remarks.append(
            f"Protected images were given: {len(_chosen(pairs, most))} of {len(files.protected)} are audited."
        )
    else:
        chosen = _chosen_photos(files.photos, most)
        say(f"Protecting {len(chosen)} photos")
        done, failed = _protect(chosen, protecting)
        untested += failed
        pairs, _ = match(Files(chosen, done))
        names = ", ".join(key.manifest.key_id for key in protecting.keys)
        remarks.append(
            f"Photos alone were given; {len(chosen)} of {len(files.photos)} were protected here, by "
            f"{named(protecting.method)}, for {names}."
        )
    pairs = _chosen(pairs, most)
    say(f"Reading {len(pairs)} faces")
    read = _read(pairs, untested)
    if not read:
        raise ValueError(
            "inputs: expected at least one protected face and its photo, found none: " + "; ".join(untested)
        )
    kept, originals, protected = zip(*read, strict=True)
    people = _numbered([pair.person for pair in kept])
    if people is None:
        remarks.append("Nobody said who is on the photos; one folder per person would.")
    else:
        remarks.append(f"The folders were read as people: {len(torch.unique(people))} of them.")
    return Faces(
        names=tuple(pair.photo.place + (f" (face {pair.number})" if pair.number > 1 else "") for pair in kept),
        originals=torch.stack(originals),
        protected=torch.stack(protected),
        people=people,
        remarks=tuple(remarks),
        untested=(*files.skipped, *untested),
        left_out=len(untested),
    )


def read_training(folder: Path, budget: Budget, *, most: int) -> tuple[PublicFaces, list[str]]:
    """PublicFaces faces of other people, one folder each, a photo of everybody before a second one of anybody.

    Args:
        folder: of the people's folders; photos of 112 x 112 count as aligned.
        budget: reading ends with it.
        most: faces.

    Raises:
        ValueError: no such folder, or no face in it.
    """
    by_person: dict[str, list[str]] = {}
    for photo in Folder(folder):
        by_person.setdefault(photo.identity, []).append(photo.path)
    # three photos of a person in a row: heads are trained on what differs between them
    order = [
        (name, path)
        for turn in range(0, max(map(len, by_person.values())), 3)
        for name, paths in by_person.items()
        for path in paths[turn : turn + 3]
    ]
    number = {name: place for place, name in enumerate(by_person)}
    detector, missed = Detector(), 0
    faces: list[Tensor] = []
    people: list[int] = []
    for name, path in order[:most]:
        if budget.over and faces:
            break
        try:
            faces.append(torch.from_numpy(load_face(folder / path, detector)))
        except ValueError:
            missed += 1
            continue
        people.append(number[name])
    if not faces:
        raise ValueError(f"{folder}: expected photos with faces, found none in {missed} photos")
    remarks = [f"{len(faces)} plain faces of {len(set(people))} other people were read for training and thresholds."]
    return PublicFaces(torch.stack(faces), torch.tensor(people)), remarks


def _chosen(pairs: list[Match], most: int) -> list[Match]:
    """Those of the people who are audited; of further faces in a photo nobody says whose they are."""
    if any(pair.person is None for pair in pairs):
        return pairs[:most]
    return _few([(pair.person, pair) for pair in pairs if pair.number == 1], most, each=MOST_EACH)


def _chosen_photos(photos: tuple[PlacedFile, ...], most: int) -> tuple[PlacedFile, ...]:
    people = people_of(photos)
    if people is None:
        return photos[:most]
    return tuple(_few([(people[one.place], one) for one in photos], most, each=EACH))


def _few(owned: Sequence[tuple[str | None, Kind]], most: int, *, each: int) -> list[Kind]:
    """At most so many each of the first people who have two; where nobody has, one of each."""
    by_person: dict[str | None, list[Kind]] = {}
    for person, one in owned:
        by_person.setdefault(person, []).append(one)
    several = [theirs[:each] for theirs in by_person.values() if len(theirs) >= EACH]
    rest = [theirs[:1] for theirs in by_person.values()]
    return [one for theirs in (several or rest)[:most] for one in theirs]


def _protect(photos: tuple[PlacedFile, ...], protecting: Protecting) -> tuple[tuple[PlacedFile, ...], list[str]]:
    """Protect photos into the folder, each at its own place; what became of them, and what failed."""
    aligned = all(is_aligned(decode(photo.path).pixels) for photo in photos)
    job = FolderJob(
        out=protecting.out,
        keys=protecting.keys,
        method=protecting.method,
        seed=protecting.seed,
        aligned=aligned,
        secret=None,
        compute=Compute(device=protecting.device),
    )
    todo = {photo.path: protecting.out / photo.place.rpartition(".")[0] for photo in photos}
    done, failed = [], []
    for one in protect_into(Plan(todo=todo, done=[], failures=[]), job):
        if isinstance(one, Failure):
            failed.append(f"{one.name}: {without_name(one.reason, one.name)}")
            continue
        names = json.loads(one.record.read_bytes())["files"]
        files = [one.record.with_name(name) for name in names]
        done += [PlacedFile(file, file.relative_to(protecting.out).as_posix()) for file in files]
    return tuple(sorted(done)), failed


def named(method: Protector) -> str:
    """A method of protection in words."""
    names = [name for name, preset in PROTECTORS.items() if preset == method]
    return f"the method {names[0]}" if names else "a method of settings of its own"


def _read(pairs: list[Match], untested: list[str]) -> list[tuple[Match, Tensor, Tensor]]:
    detector = Detector()
    found = []
    for pair in pairs:
        try:
            image = decode(pair.protected).pixels
            if not is_aligned(image):
                raise ValueError(f"{pair.protected}: expected 112 x 112, got {image.shape[1]} x {image.shape[0]}")
            found.append((pair, _plain(pair, detector), to_unit(to_tensor(image))))
        except (ValueError, OSError) as error:
            untested.append(in_words(error))
    return found


def _plain(pair: Match, detector: Detector) -> Tensor:
    """The photo's face, aligned as it was for protecting."""
    pixels = decode(pair.photo.path).pixels
    if is_aligned(pixels):
        return to_unit(to_tensor(pixels))
    face = pair.face()
    if face is not None:
        points = np.array(face["points"], np.float32)
    else:
        kept = faces_in(pixels, detector).points
        if len(kept) < pair.number:
            raise ValueError(f"{pair.photo.path}: expected {pair.number} faces within the photo, found {len(kept)}")
        points = kept[pair.number - 1]
    return to_tensor(align_unrounded(pixels, points[None])[0])


def _numbered(people: list[str | None]) -> Tensor | None:
    if any(person is None for person in people):
        return None
    number = {person: place for place, person in enumerate(dict.fromkeys(people))}
    return torch.tensor([number[person] for person in people])

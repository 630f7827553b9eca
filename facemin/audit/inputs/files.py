"""Matching of protected images to photos, by the names that `facemin protect` gives."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from facemin.image import Skipped, describe, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

PROTECTED, PASTED, RECORD = ".protected.png", ".pasted.png", ".protected.json"
_NUMBERED = re.compile(r"(?P<stem>.+)\.(?P<number>[1-9]\d*)")


class PlacedFile(NamedTuple):
    """A file, and its place in the folder that it was found in; its name where it was given by itself."""

    path: Path
    place: str
    """With forward slashes."""


class Files(NamedTuple):
    """What lies in the inputs of an audit."""

    photos: tuple[PlacedFile, ...]
    protected: tuple[PlacedFile, ...]
    skipped: tuple[str, ...] = ()
    """What else lies in the folders, in words."""


@dataclass(frozen=True, kw_only=True)
class Match:
    """A protected image and its photo.

    Attributes:
        photo: the plain one.
        protected: the image.
        number: which of the photo's faces, from 1, largest first.
        person: whose folder the photo lies in; None where there are no such folders.
    """

    photo: PlacedFile
    protected: Path
    number: int
    person: str | None

    @property
    def record(self) -> Path:
        """Where `facemin protect` wrote what it found in the photo."""
        stem = self.protected.name.removesuffix(PROTECTED)
        stem = stem if self.number == 1 else stem.removesuffix(f".{self.number}")
        return self.protected.with_name(f"{stem}.protected.json")

    def face(self) -> dict[str, Any] | None:
        """What the record says of this face; None where there is no record."""
        try:
            face: dict[str, Any] = json.loads(self.record.read_bytes())["faces"][self.number - 1]
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            return None
        return face


def list_files(inputs: Iterable[Path]) -> Files:
    """Photos and protected images among files and folders, folders recursively, sorted.

    Raises:
        ValueError: an input that does not exist, or no photo in any of them.
    """
    skipped: list[Skipped] = []
    found = [one for path in inputs for one in _found(path, skipped)]
    protected = tuple(one for one in found if one.path.name.endswith(PROTECTED))
    photos = tuple(one for one in found if not one.path.name.endswith((PROTECTED, PASTED)))
    if not photos:
        raise ValueError("inputs: expected photos, or photos and what they became (b.protected.png); found no photo")
    return Files(photos, protected, tuple(describe(skipped)))


def people_of(photos: Sequence[PlacedFile]) -> dict[str, str] | None:
    """Each photo's person by its place, where photos lie in one folder per person, at least two; else None."""
    parts = {one.place: one.place.split("/") for one in photos}
    if any(len(each) != 2 for each in parts.values()):
        return None
    people = {place: each[0] for place, each in parts.items()}
    return people if len(set(people.values())) > 1 else None


def match(files: Files) -> tuple[list[Match], list[str]]:
    """Pair protected images with their photos: by the record beside them, else by place, else by a name of its own.

    Returns:
        The pairs, and what could not be paired, in words.
    """
    people = people_of(files.photos)
    by_path = {str(one.path.resolve()): one for one in files.photos}
    by_place = {_stem(one.place): one for one in files.photos}
    by_name: dict[str, list[PlacedFile]] = {}
    for one in files.photos:
        by_name.setdefault(_stem(one.place).rpartition("/")[2], []).append(one)
    pairs, unpaired = [], []
    for image in files.protected:
        for stem, number in _readings(image.place.removesuffix(PROTECTED)):
            photo = _recorded(image.path, number, by_path) or by_place.get(stem)
            alike = by_name.get(stem.rpartition("/")[2], [])
            photo = photo or (alike[0] if len(alike) == 1 else None)
            if photo is not None:
                person = None if people is None else people[photo.place]
                pairs.append(Match(photo=photo, protected=image.path, number=number, person=person))
                break
        else:
            unpaired.append(f"{image.path}: expected a photo of that name among the inputs, found none")
    return pairs, unpaired


def _readings(stem: str) -> Iterator[tuple[str, int]]:
    """A name as it stands, and as that of a further face: b.2 is the second of b, where there is no b.2."""
    yield stem, 1
    numbered = _NUMBERED.fullmatch(stem)
    if numbered and int(numbered["number"]) > 1:
        yield numbered["stem"], int(numbered["number"])


def _recorded(image: Path, number: int, by_path: dict[str, PlacedFile]) -> PlacedFile | None:
    stem = image.name.removesuffix(PROTECTED)
    stem = stem if number == 1 else stem.removesuffix(f".{number}")
    try:
        source = json.loads(image.with_name(f"{stem}.protected.json").read_bytes())["source"]["path"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return by_path.get(str(source))


def _found(path: Path, skipped: list[Skipped]) -> Iterator[PlacedFile]:
    if path.is_dir():
        here = walk(path)
        if here.unread:
            raise ValueError(f"{here.unread[0].filename}: could not be listed: {here.unread[0].strerror}")
        skipped += [one for one in here.skipped if not one.path.name.endswith(RECORD)]
        for file, place in here.photos:
            yield PlacedFile(file, place.as_posix())
    elif path.exists():
        yield PlacedFile(path, path.name)
    else:
        raise ValueError(f"{path}: expected a photo or a folder, found nothing there")


def _stem(place: str) -> str:
    folder, slash, name = place.rpartition("/")
    return folder + slash + name.rpartition(".")[0]

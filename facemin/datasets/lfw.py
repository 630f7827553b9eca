"""Labelled Faces in the Wild: its photos, its official pairs and landmarks found for it.

Source: Huang et al., Labeled Faces in the Wild: a database for studying face recognition in unconstrained
environments, 2007 (the file formats: its README and pairs.txt).
"""

import random
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from facemin.datasets.folder import Folder, PhotoFile

# A name becomes part of a path, so it may hold no separator; LFW's are letters, underscores and hyphens.
_NAME = re.compile(r"\w[\w.'-]*")
_PHOTO = re.compile(r"(?P<name>.+)_\d{4,}\.jpg")


class Pair(NamedTuple):
    """Two photos, each a person's name and the photo's number from 1, and whether it is one person."""

    name_a: str
    index_a: int
    name_b: str
    index_b: int
    same: bool

    @property
    def path_a(self) -> str:
        """The first photo's path relative to LFW's root."""
        return f"{self.name_a}/{self.name_a}_{self.index_a:04d}.jpg"

    @property
    def path_b(self) -> str:
        """The second photo's path relative to LFW's root."""
        return f"{self.name_b}/{self.name_b}_{self.index_b:04d}.jpg"


@dataclass(frozen=True)
class LFW:
    """LFW's photos as (path relative to root, identity), sorted; 13,233 of 5,749 people where complete.

    Args:
        root: folder that holds one folder per person, with Name_Of_Person_0001.jpg and so on in it.

    Raises:
        ValueError: root is no folder; on iteration, it holds no photo, or one not named like its folder.
    """

    root: Path

    licence: ClassVar[str] = (
        "LFW is for research; its photos were gathered from news on the web and belong to their owners."
    )

    def __post_init__(self) -> None:
        Folder(self.root)

    def __iter__(self) -> Iterator[PhotoFile]:
        """Yield photo after photo."""
        for photo in Folder(self.root):
            match = _PHOTO.fullmatch(photo.path.partition("/")[2])
            if match is None or match["name"] != photo.identity:
                raise ValueError(f"{self.root / photo.path}: expected a name like {photo.identity}_0001.jpg")
            yield photo


def lfw_pairs(path: Path | str) -> list[Pair]:
    """Read pairs.txt: ten folds of 300 genuine, then 300 impostor pairs, in the order that folds rely on.

    The first line holds the numbers of folds and of pairs of each kind in a fold; with one number only
    (pairsDevTrain.txt) there is one fold. A genuine line is a name and two photo numbers, an impostor line
    twice a name and a number, all separated by tabs or spaces.

    Args:
        path: the file, UTF-8, with a byte order mark or without.

    Raises:
        ValueError: no such file; a line is not of the kind due there (names its number); lines are missing or
            too many.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: expected LFW's pairs.txt, found no file")
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        lines = [line.split() for line in file]
    while lines and not lines[-1]:
        lines.pop()
    header = lines[0] if lines else []
    if len(header) not in (1, 2) or not all(_number(field) for field in header):
        raise ValueError(f"{path}, line 1: expected '<folds> <pairs of each kind>', got {' '.join(header)!r}")
    per_fold = int(header[-1])
    expected = 2 * per_fold * (int(header[0]) if len(header) == 2 else 1)
    if len(lines) - 1 != expected:
        raise ValueError(f"{path}: expected {expected} lines after the first, got {len(lines) - 1}")
    return [
        _pair(f"{path}, line {at + 2}", fields, same=at // per_fold % 2 == 0) for at, fields in enumerate(lines[1:])
    ]


def genuine_pairs(pairs: Iterable[Pair], count: int, *, seed: int | None = None) -> list[Pair]:
    """Pick one genuine pair each of `count` different people: the first ones, or, with a seed, random ones.

    Args:
        pairs: pairs to pick from, as lfw_pairs returns them.
        count: number of people.
        seed: where given, pairs are shuffled first; the same seed gives the same pairs.

    Raises:
        ValueError: there are fewer people with a genuine pair.
    """
    genuine = [pair for pair in pairs if pair.same]
    if seed is not None:
        random.Random(seed).shuffle(genuine)  # noqa: S311  (a choice of samples, no secret)
    first: dict[str, Pair] = {}
    for pair in genuine:
        first.setdefault(pair.name_a, pair)
    if not 0 <= count <= len(first):
        raise ValueError(f"count: expected 0..{len(first)} (people with a genuine pair), got {count}")
    return list(first.values())[:count]


def landmarks(path: Path | str) -> dict[str, Tensor]:
    """Read five landmarks per photo from an .npz of `names`, (N,) text, and `pts`, (N, 5, 2) floating.

    Args:
        path: the file; no pickled object in it is ever read.

    Returns:
        From a photo's path relative to LFW's root to (5, 2) float32: x, y in pixels of the photo, of left
        eye, right eye, nose, left and right corner of the mouth, left and right as seen.

    Raises:
        ValueError: no such file; not such an archive; other shapes or types; a name twice; not finite.
    """
    path = Path(path)
    try:
        # Opened here: np.load leaves a file open that it opened itself and could not read.
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            several = isinstance(archive, Mapping)
            if not several:
                raise ValueError(f"a single {type(archive).__name__}")
            names, points = archive["names"], archive["pts"]
    except (OSError, KeyError, ValueError, EOFError, MemoryError, BadZipFile, zlib.error) as error:
        raise ValueError(f"{path}: expected an .npz with 'names' and 'pts', got: {error}") from None
    if names.ndim != 1 or names.dtype.kind != "U":
        raise ValueError(f"{path}: expected names as text (N,), got {names.dtype} {names.shape}")
    if points.shape != (len(names), 5, 2) or points.dtype.kind != "f":
        raise ValueError(f"{path}: expected pts ({len(names)}, 5, 2) floating, got {points.dtype} {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError(f"{path}: expected finite points, got others")
    found = dict(zip(names.tolist(), torch.from_numpy(points.astype(np.float32)).unbind(0), strict=True))
    if len(found) != len(names):
        raise ValueError(f"{path}: expected each name once, got {len(names) - len(found)} repeated")
    return found


def _pair(where: str, fields: list[str], *, same: bool) -> Pair:
    names, numbers = (fields[:1], fields[1:]) if same else (fields[0::2], fields[1::2])
    fits = len(fields) == (3 if same else 4) and all(map(_number, numbers))
    if not fits or not all(map(_NAME.fullmatch, names)):
        kind = "a genuine pair '<name> <number> <number>'"
        if not same:
            kind = "an impostor pair '<name> <number> <name> <number>'"
        raise ValueError(f"{where}: expected {kind}, got {' '.join(fields)!r}")
    if not same and names[0] == names[1]:
        raise ValueError(f"{where}: expected two people in an impostor pair, got {names[0]!r} twice")
    return Pair(names[0], int(numbers[0]), names[-1], int(numbers[1]), same)


def _number(field: str) -> bool:
    return field.isascii() and field.isdecimal() and len(field) <= 9 and int(field) > 0

"""Verification sets: which images, and which pairs of them."""

from __future__ import annotations

import hashlib
import itertools
import math
import random
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from facemin.autograd.pixels import to_tensor, to_unit
from facemin.datasets import Folder, InsightFaceBin, landmarks, lfw_pairs
from facemin.evaluation.photo_reader import LoadedFace, PhotoReader
from facemin.face import Detector, is_aligned
from facemin.image import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FOLDS = 10
GENUINE_LIMIT = 3000
"""Genuine pairs taken of a folder without a list of pairs: as many as LFW has."""


@dataclass(frozen=True, kw_only=True, eq=False)
class VerificationSet:
    """Images and pairs of them.

    Args:
        source: what was read, in words.
        images: how many distinct images there are.
        read: loads image 0..images - 1; called from several threads.
        pairs: (N, 2) int64, indices of images, in the order that folds rely on.
        same: (N,) bool, whether a pair shows one person.
        people: (images,) int64, whose each image is; None where nobody says.

    Raises:
        ValueError: no genuine or no impostor pair, or fewer than ten pairs.
    """

    source: str
    images: int
    read: Callable[[int], LoadedFace]
    pairs: Tensor
    same: Tensor
    people: Tensor | None

    def __post_init__(self) -> None:
        genuine = int(self.same.sum())
        if not 0 < genuine < len(self.same) or len(self.same) < FOLDS:
            raise ValueError(
                f"{self.source}: expected at least {FOLDS} pairs, genuine and impostor ones, "
                f"got {genuine} and {len(self.same) - genuine}"
            )


def open_verification_set(
    data: Path,
    *,
    pairs: Path | None = None,
    points: Path | None = None,
    seed: int = 0,
    genuine_limit: int = GENUINE_LIMIT,
) -> VerificationSet:
    """Open a verification set.

    Args:
        data: an InsightFace `.bin`, or a folder with one folder per person, as LFW is.
        pairs: of a folder: LFW's pairs.txt, or lines `path path 1` and `path path 0`; without it up to
            `genuine_limit` genuine and as many random impostor pairs are drawn.
        points: landmarks of its photos, see `facemin.datasets.landmarks`; faces are detected without it.
        seed: of the drawing.
        genuine_limit: at least 1.

    Raises:
        ValueError: a file or folder that is none of these, or a photo without landmarks where they are given.
        OSError: a file that cannot be read.
    """
    if genuine_limit < 1:
        raise ValueError(f"genuine_limit: expected at least 1, got {genuine_limit}")
    if data.is_file():
        if pairs is not None or points is not None:
            raise ValueError(f"{data}: expected no list of pairs and no landmarks for a .bin file, which is aligned")
        return _bin_set(data)
    Folder(data)
    if pairs is not None:
        listed = _listed(pairs)
        paths = sorted({path for a, b, _ in listed for path in (a, b)})
        source = f"{data.name}, pairs of {pairs.name}"
    else:
        photos = list(Folder(data))
        listed = _drawn([photo.path for photo in photos], seed, genuine_limit)
        paths = sorted({path for a, b, _ in listed for path in (a, b)})
        source = f"{data.name}, {len(listed)} pairs drawn with seed {seed}"
    given = None if points is None else landmarks(points)
    absent = [path for path in paths if given is not None and path not in given]
    if absent:
        raise ValueError(f"{points}: expected landmarks of every photo, got none of {len(absent)}, such as {absent[0]}")
    number = {path: at for at, path in enumerate(paths)}
    same = torch.tensor([flag for *_, flag in listed], dtype=torch.bool)
    index = torch.tensor([(number[a], number[b]) for a, b, _ in listed], dtype=torch.int64).view(-1, 2)
    order = fold_order(same)
    aligned = f"landmarks of {points.name}" if points else "CenterFace, the face nearest to the centre"
    return VerificationSet(
        source=f"{source}; aligned by {aligned}",
        images=len(paths),
        # one thread a network: photos are loaded on several threads already
        read=PhotoReader(root=data, paths=paths, points=given, detector=None if given else Detector(threads=1)),
        pairs=index[order],
        same=same[order],
        people=_people(paths, index, same),
    )


def fold_order(same: Tensor, *, folds: int = FOLDS) -> Tensor:
    """Order of pairs in which contiguous folds hold both kinds: the given one where it does, else dealt evenly.

    Args:
        same: (N,) bool, whether a pair is genuine.
        folds: number of folds.

    Returns:
        (N,) int64, a permutation that keeps the order within each kind.
    """
    given = [part for part in torch.tensor_split(same, folds) if len(part)]
    if all(0 < int(part.sum()) < len(part) for part in given):
        return torch.arange(len(same))
    # each pair's place within its kind, as a fraction: sorting by it spreads both kinds over the list
    place = torch.empty(len(same), dtype=torch.float64)
    for kind in (same, ~same):
        count = int(kind.sum())
        place[kind] = (torch.arange(count, dtype=torch.float64) + 0.5) / max(count, 1)
    return place.argsort(stable=True)


def _listed(path: Path) -> list[tuple[str, str, bool]]:
    """Pairs of a file in LFW's form, or in lines of two paths and a flag."""
    if not path.is_file():
        raise ValueError(f"{path}: expected a list of pairs, found no file")
    lines = path.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
    rows = [line.split("\t" if "\t" in line else None) for line in lines if line.strip()]
    if not rows or len(rows[0]) != 3:
        return [(pair.path_a, pair.path_b, pair.same) for pair in lfw_pairs(path)]
    for at, row in enumerate(rows, 1):
        if len(row) != 3 or row[2] not in ("0", "1") or not all(map(_inside, row[:2])):
            raise ValueError(
                f"{path}, pair {at}: expected '<path> <path> <0 or 1>' within the folder, got {row!r:.200}"
            )
    return [(a, b, flag == "1") for a, b, flag in rows]


def _inside(path: str) -> bool:
    return not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts


def _people(paths: Sequence[str], pairs: Tensor, same: Tensor) -> Tensor | None:
    """Identities by the photos' folders, unless a pair contradicts them (folders then mean something else)."""
    folders = [str(PurePosixPath(path).parent) for path in paths]
    number = {folder: at for at, folder in enumerate(sorted(set(folders)))}
    people = torch.tensor([number[folder] for folder in folders])
    return people if torch.equal(people[pairs[:, 0]] == people[pairs[:, 1]], same) else None


def _drawn(paths: Sequence[str], seed: int, limit: int) -> list[tuple[str, str, bool]]:
    """All genuine pairs, or `limit` of them, and as many impostor pairs."""
    generator = random.Random(seed)  # noqa: S311  (a choice of samples, no secret)
    groups = [list(group) for _, group in itertools.groupby(paths, key=lambda path: path.partition("/")[0])]
    ends = list(itertools.accumulate(math.comb(len(group), 2) for group in groups))
    chosen = range(ends[-1]) if ends[-1] <= limit else sorted(generator.sample(range(ends[-1]), limit))
    genuine = []
    for rank in chosen:
        group = bisect_right(ends, rank)
        later, earlier = _unrank(rank - (ends[group - 1] if group else 0))
        genuine.append((groups[group][earlier], groups[group][later], True))
    possible = math.comb(len(paths), 2) - ends[-1]
    person = [at for at, group in enumerate(groups) for _ in group]
    if possible <= 2 * len(genuine):
        cross = [(a, b) for a, b in itertools.combinations(range(len(paths)), 2) if person[a] != person[b]]
        picked = generator.sample(cross, min(len(genuine), possible))
    else:
        unique: dict[tuple[int, int], None] = {}
        while len(unique) < len(genuine):
            a, b = sorted(generator.sample(range(len(paths)), 2))
            if person[a] != person[b]:
                unique[a, b] = None
        picked = list(unique)
    return genuine + [(paths[a], paths[b], False) for a, b in picked]


def _unrank(rank: int) -> tuple[int, int]:
    """Pair number `rank` in the order (1,0), (2,0), (2,1), (3,0), ..."""
    later = (1 + math.isqrt(1 + 8 * rank)) // 2
    return later, rank - later * (later - 1) // 2


def _bin_set(path: Path) -> VerificationSet:
    packed = InsightFaceBin(path)
    number: dict[bytes, int] = {}
    # an image stands in the file once per pair: equal bytes are one image, embedded once
    indices: list[tuple[int, int]] = []
    first: list[tuple[int, int]] = []
    flags: list[bool] = []
    for at, pair in enumerate(packed):
        both = []
        for side, encoded in enumerate(pair[:2]):
            assert isinstance(encoded, bytes)
            digest = hashlib.sha256(encoded).digest()
            if digest not in number:
                number[digest] = len(first)
                first.append((at, side))
            both.append(number[digest])
        indices.append((both[0], both[1]))
        flags.append(pair.same)

    def read(index: int) -> LoadedFace:
        at, side = first[index]
        label = f"{path}, pair {at}"
        pair = packed[at]
        pixels = decode(pair.b if side else pair.a, name=label).pixels
        if not is_aligned(pixels):
            raise ValueError(f"{label}: expected images of 112 x 112, got {pixels.shape[1]} x {pixels.shape[0]}")
        return LoadedFace(to_unit(to_tensor(pixels)), True)

    same = torch.tensor(flags, dtype=torch.bool)
    order = fold_order(same)
    return VerificationSet(
        source=f"{path.name}, aligned as packed",
        images=len(first),
        read=read,
        pairs=torch.tensor(indices, dtype=torch.int64)[order],
        same=same[order],
        people=None,
    )

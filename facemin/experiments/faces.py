"""The faces of an experiment: pairs to be judged, and other people's plain images that give the thresholds."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from facemin.evaluation.pairs import open_verification_set
from facemin.experiments.settings import LFW

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from facemin.evaluation.pairs import VerificationSet
    from facemin.experiments.settings import Data

WORKERS = 2
"""Threads that decode and align."""


class Place(NamedTuple):
    """Where data lie."""

    name: str
    """What tables call them: the folder's or the file's name."""
    data: Path
    pairs: Path | None
    landmarks: Path | None


class PairChoice(NamedTuple):
    """Which of a set's pairs are used, by index."""

    judged: Tensor
    """(N,) int64, of the first half, genuine ones first."""
    calibration: Tensor
    """(C,) int64, of the second half."""
    apart: bool
    """Whether nobody who is judged is among those who calibrate."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Faces:
    """Aligned faces (.., 3, 112, 112), RGB in [0, 1].

    Attributes:
        name: of the data.
        source: where they come from, and how they were aligned, in words.
        probes: (N, 3, 112, 112), the first face of each pair; the one that is protected.
        others: (N, 3, 112, 112), the second face of each pair; stays plain.
        same: (N,) bool.
        plain: (M, 3, 112, 112), the calibration's images.
        people: (M,) int64, whose those are; None where nobody says.
        impostors: (K, 2) int64, places in `plain` of the listed calibration pairs of two people.
        no_face: number of photos in which no face was found.
        sha256: of all faces above, in hexadecimal.
    """

    name: str
    source: str
    probes: Tensor
    others: Tensor
    same: Tensor
    plain: Tensor
    people: Tensor | None
    impostors: Tensor
    no_face: int
    sha256: str


def find_data(settings: Data, *, shared: Path | None, given: Place | None) -> Place:
    """Where an experiment's faces lie.

    Args:
        settings: of the experiment.
        shared: the research folder, with LFW in `data/lfw`.
        given: what the caller wants instead; decides where it is there.

    Raises:
        ValueError: when nobody says where they are.
    """
    if given is not None:
        return given
    if settings.set != LFW:
        data = Path(settings.set)
        return Place(data.stem if data.suffix == ".bin" else data.name, data, settings.pairs, settings.landmarks)
    if shared is None:
        raise ValueError(
            "data: expected LFW by --shared (a folder with data/lfw), or any other set by --data; got none"
        )
    points = shared / "data" / "lfw_landmarks.npz" if settings.align == "landmarks" else None
    return Place(LFW, shared / "data" / "lfw", shared / "data" / "lfw_pairs.txt", points)


def load_faces(
    place: Place,
    *,
    genuine: int,
    impostor: int,
    calibration: int,
    seed: int = 0,
    on_images: Callable[[int, int], None] | None = None,
) -> Faces:
    """Read the faces of an experiment.

    Args:
        place: where they lie.
        genuine: pairs of one person to judge, from the first half of the list.
        impostor: pairs of two people, likewise.
        calibration: pairs of the second half whose images give the thresholds, at most: those with anybody judged
            are left out.
        seed: of the drawing, where a folder has no list of pairs.
        on_images: called with the number of images read and how many there are.

    Raises:
        ValueError: too few pairs of a kind, or data that cannot be read.
        OSError: a file that is not there.
    """
    pair_set = open_verification_set(place.data, pairs=place.pairs, points=place.landmarks, seed=seed)
    chosen = choose(pair_set, genuine=genuine, impostor=impostor, calibration=calibration)
    first, second = pair_set.pairs[chosen.judged].unbind(1)
    plain, index = torch.unique(pair_set.pairs[chosen.calibration], return_inverse=True)
    wanted = [*first.tolist(), *second.tolist(), *plain.tolist()]
    read, no_face = _read(pair_set, wanted, on_images)
    count = len(first)
    digest = hashlib.sha256()
    for image in wanted:
        digest.update(read[image].mul(255).round().to(torch.uint8).numpy().tobytes())
    return Faces(
        name=place.name,
        source=pair_set.source if chosen.apart else f"{pair_set.source}; those who are judged calibrate too",
        probes=torch.stack([read[image] for image in wanted[:count]]),
        others=torch.stack([read[image] for image in wanted[count : 2 * count]]),
        same=pair_set.same[chosen.judged],
        plain=torch.stack([read[image] for image in wanted[2 * count :]]),
        people=None if pair_set.people is None else pair_set.people[plain],
        impostors=index[~pair_set.same[chosen.calibration]],
        no_face=no_face,
        sha256=digest.hexdigest(),
    )


def choose(pair_set: VerificationSet, *, genuine: int, impostor: int, calibration: int) -> PairChoice:
    """Pairs to judge from the first half of a list, and pairs to calibrate on from the second.

    In LFW's list the halves are five folds each, and no person is in both. Where it is known who is on the photos,
    pairs of new people come first, so that as many different people as possible are judged; otherwise pairs are
    taken evenly. Whoever is judged calibrates nothing, unless there is nobody else.

    Raises:
        ValueError: a half has fewer pairs of a kind than are wanted.
    """
    middle = len(pair_set.same) // 2
    halves = torch.arange(middle), torch.arange(middle, len(pair_set.same))
    judged = []
    seen: set[int] = set()
    for kind, wanted, flag in (("genuine", genuine, True), ("impostor", impostor, False)):
        there = halves[0][pair_set.same[halves[0]] == flag]
        if wanted > len(there):
            raise ValueError(f"{pair_set.source}: expected {wanted} {kind} pairs in the first half, found {len(there)}")
        judged.append(_different_people(pair_set, there, wanted, seen))
    if calibration > len(halves[1]):
        raise ValueError(
            f"{pair_set.source}: expected {calibration} calibration pairs in the second half, found {len(halves[1])}"
        )
    left = _without_judged(pair_set, torch.cat(judged), halves[1])
    apart = not bool(pair_set.same[left].all())
    if not apart:
        left = halves[1]
    return PairChoice(torch.cat(judged), left[_evenly(len(left), min(calibration, len(left)))], apart)


def _without_judged(pair_set: VerificationSet, judged: Tensor, there: Tensor) -> Tensor:
    """Those pairs that show nobody who is judged; where nobody knows who is who, no image that is."""
    owners = torch.arange(int(pair_set.pairs.max()) + 1) if pair_set.people is None else pair_set.people
    shown = torch.isin(owners[pair_set.pairs[there]], owners[pair_set.pairs[judged]])
    return there[~shown.any(1)]


def _different_people(pair_set: VerificationSet, there: Tensor, wanted: int, seen: set[int]) -> Tensor:
    if pair_set.people is None:
        return there[_evenly(len(there), wanted)]
    new: list[int] = []
    known: list[int] = []
    for at, people in zip(there.tolist(), pair_set.people[pair_set.pairs[there]].tolist(), strict=True):
        if len(new) == wanted:
            break
        if seen & set(people):
            known.append(at)
        else:
            new.append(at)
            seen.update(people)
    return torch.tensor(sorted([*new, *known][:wanted]), dtype=torch.int64)


def _evenly(count: int, wanted: int) -> Tensor:
    return torch.arange(wanted) * count // max(wanted, 1)


def _read(
    pair_set: VerificationSet, wanted: Sequence[int], on_images: Callable[[int, int], None] | None
) -> tuple[dict[int, Tensor], int]:
    """Each wanted image once, by index, and in how many of them no face was found."""
    images = list(dict.fromkeys(wanted))
    read: dict[int, Tensor] = {}
    missed = 0
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="facemin-load") as pool:
        for image, loaded in zip(images, pool.map(pair_set.read, images), strict=True):
            read[image] = loaded.face
            missed += not loaded.found
            if on_images is not None:
                on_images(len(read), len(images))
    return read, missed

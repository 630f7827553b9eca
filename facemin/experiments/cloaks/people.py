"""The people of an experiment on cloaks: LFW's with many photos, and others of whom one photo each is taken."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facemin.datasets.lfw import LFW, landmarks
from facemin.face import align
from facemin.image import decode

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from facemin.experiments.cloaks.settings import People
    from facemin.image import Pixels


@dataclass(frozen=True, kw_only=True, eq=False)
class Photographs:
    """Photos and faces of an experiment; uint8 RGB.

    Attributes:
        photos: of each person, (T, H, W, 3), T = fit + 1 + probes: first those that masks are learnt from, then the
            enrolled one, then the probes.
        points: landmarks in them, (T, 5, 2) a person.
        faces: (P, T, 112, 112, 3), cut out of them.
        distractors: (D, 112, 112, 3), faces of as many other people.
        impostors: (I, 112, 112, 3), likewise, of still others.
        fit: how many of T masks are learnt from.
        sha256: of all faces, in hexadecimal.
    """

    photos: list[Pixels]
    points: list[NDArray[np.float32]]
    faces: Pixels
    distractors: Pixels
    impostors: Pixels
    fit: int
    sha256: str


def load_people(settings: People, shared: Path, *, seed: int) -> Photographs:
    """Draw people and read their photos.

    Args:
        settings: how many.
        shared: the research folder, with LFW in `data/lfw` and its landmarks.
        seed: of the drawing.

    Raises:
        ValueError: fewer people than asked for, or data that are not there.
    """
    root = shared / "data" / "lfw"
    points = {path: found.numpy() for path, found in landmarks(shared / "data" / "lfw_landmarks.npz").items()}
    taken = settings.fit + 1 + settings.probes
    by_person: dict[str, list[str]] = {}
    for photo in LFW(root):
        by_person.setdefault(photo.identity, []).append(photo.path)
    dice = random.Random(seed)  # noqa: S311 - a choice of samples, no secret
    many = [name for name, paths in sorted(by_person.items()) if len(paths) >= taken]
    asked = settings.apart_from + settings.people
    if len(many) < asked:
        raise ValueError(f"data: expected {asked} people of {taken} photos or more, found {len(many)}")
    reported = set(dice.sample(many, settings.apart_from))
    people = dice.sample([name for name in many if name not in reported], settings.people)
    rest = [name for name in sorted(by_person) if name not in set(many)]
    wanted = settings.distractors + settings.impostors
    if len(rest) < wanted:
        raise ValueError(f"data: expected {wanted} other people, found {len(rest)}")
    others = dice.sample(rest, wanted)
    chosen = [dice.sample(by_person[name], taken) for name in people]
    photos = [np.stack([decode(root / path).pixels for path in paths]) for paths in chosen]
    marks = [np.stack([points[path] for path in paths]) for paths in chosen]
    faces = np.stack([cut(one, where) for one, where in zip(photos, marks, strict=True)])
    single = np.concatenate(
        [align(decode(root / path).pixels, points[path][None]) for path in (by_person[name][0] for name in others)]
    )
    digest = hashlib.sha256()
    digest.update(faces.tobytes())
    digest.update(single.tobytes())
    return Photographs(
        photos=photos,
        points=marks,
        faces=faces,
        distractors=single[: settings.distractors],
        impostors=single[settings.distractors :],
        fit=settings.fit,
        sha256=digest.hexdigest(),
    )


def cut(photos: Pixels, points: NDArray[np.float32]) -> Pixels:
    """Faces (T, 112, 112, 3) cut out of as many photos (T, H, W, 3) at their landmarks (T, 5, 2)."""
    return np.concatenate([align(photo, where[None]) for photo, where in zip(photos, points, strict=True)])

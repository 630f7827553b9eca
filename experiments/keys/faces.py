"""Aligned faces of LFW, one a person, with the part of the people's split that each belongs to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facemin.face import align
from facemin.image import decode

if TYPE_CHECKING:
    from numpy.typing import NDArray

PEOPLE = Path(__file__).resolve().parents[1] / "pseudonym" / "people.json"
MIXED = 450
"""So many faces come from every part; then come people to report on, and last those to choose on."""
FRESH = 500
"""Of the people to choose on, so many last ones are never chosen on: a part of their own, "fresh"."""


class Sample(NamedTuple):
    """Faces, uint8 (N, 112, 112, 3), and the part of each: "fit", "choose", "report" or "fresh"."""

    faces: NDArray[np.uint8]
    parts: NDArray[np.str_]

    def of(self, part: str, count: int | None = None) -> NDArray[np.intp]:
        """Rows of a part, the first `count`."""
        return np.flatnonzero(self.parts == part)[:count]


def sample(shared: Path, count: int) -> Sample:
    """The first photo of so many people, in an order drawn with seed 0, aligned by the published landmarks."""
    split: dict[str, list[str]] = json.loads(PEOPLE.read_text())
    part = {name: key for key, names in split.items() for name in names}
    with np.load(shared / "data" / "lfw_landmarks.npz") as found:
        names, points = [str(name) for name in found["names"]], found["pts"]
    first: dict[str, int] = {}
    for number, name in enumerate(names):
        first.setdefault(name.split("/")[0], number)
    people = sorted(first)
    order = [people[i] for i in np.random.default_rng(0).permutation(len(people))]
    later = [[name for name in order[MIXED:] if part[name] == wanted] for wanted in ("report", "choose")]
    part |= dict.fromkeys(later[1][-FRESH:], "fresh")
    order = [*order[:MIXED], *later[0], *later[1]][:count]
    crops = [
        align(decode(shared / "data" / "lfw" / names[first[name]]).pixels, points[first[name]][None].astype(np.float32))
        for name in order
    ]
    return Sample(np.concatenate(crops), np.array([part[name] for name in order]))

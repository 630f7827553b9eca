"""Split of LFW's people for every pseudonym experiment: people to fit on, to choose by, and to report on.

    python experiments/pseudonym/people.py --shared ../shared

Writes people.json beside this file. `report` are the people of folds 1 to 5 of the official pairs, as everywhere in
facemin's experiments, and everybody with 20 photos or more, who are scarce (what a long-lived account gives away can be
measured on them alone). Of the others, those of folds 6 to 10 are dealt to `choose` and `fit` in turn in the order of
their names' SHA-256, and people of no fold are in `fit`. Nobody in `report` may be fitted on, chosen by, calibrated on
or trained on; attackers' pairs come from the other two.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Literal, NamedTuple

from facemin.experiments.common import lfw_half, lfw_points, script_parser

Part = Literal["fit", "choose", "report"]
PEOPLE = Path(__file__).with_name("people.json")
SCARCE = 20


class GenuinePair(NamedTuple):
    """Two photos of one person, as paths relative to LFW's root."""

    name: str
    enrolment: str
    probe: str


def people(part: Part) -> list[str]:
    """Names of a part's people, sorted."""
    names: list[str] = json.loads(PEOPLE.read_text())[part]
    return names


def photos(part: Part, paths: list[str]) -> dict[str, list[str]]:
    """The photos of a part's people, by name, in a fixed order that no photo number decides.

    Args:
        part: of the split.
        paths: all of LFW's photos, relative to its root.
    """
    wanted: dict[str, list[str]] = {name: [] for name in people(part)}
    for path in sorted(paths, key=_order):
        name = path.split("/")[0]
        if name in wanted:
            wanted[name].append(path)
    return wanted


def genuine_pairs(part: Part, paths: list[str], count: int) -> list[GenuinePair]:
    """The first `count` genuine pairs of a part: one of each person, then a second one of each who has it, and so on.

    No photo is in two pairs.

    Raises:
        ValueError: the part has fewer.
    """
    by_name = photos(part, paths)
    names = sorted(by_name, key=_order)
    rounds = max(len(found) for found in by_name.values()) // 2
    pairs = [
        GenuinePair(name, by_name[name][2 * turn], by_name[name][2 * turn + 1])
        for turn in range(rounds)
        for name in names
        if len(by_name[name]) >= 2 * turn + 2
    ]
    if not 0 < count <= len(pairs):
        raise ValueError(f"count: expected 1..{len(pairs)} (disjoint genuine pairs of {part!r}), got {count}")
    return pairs[:count]


def split(shared: Path) -> dict[Part, list[str]]:
    """Deal LFW's people."""
    photos = Counter(path.split("/")[0] for path in lfw_points(shared))
    first, second = (
        {name for pair in half for name in (pair.name_a, pair.name_b)}
        for half in (lfw_half(shared, "test"), lfw_half(shared, "calibration"))
    )
    report = first | {name for name, count in photos.items() if count >= SCARCE}
    dealt = sorted(second - report, key=_order)
    choose = set(dealt[::2])
    return {
        "fit": sorted(set(photos) - report - choose),
        "choose": sorted(choose),
        "report": sorted(report),
    }


def _order(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def main() -> None:
    """Write the split."""
    parser = script_parser(__doc__)
    parts = split(parser.parse_args().shared)
    PEOPLE.write_text(json.dumps(parts, indent=0) + "\n")
    for part, names in parts.items():
        print(f"{part:7} {len(names):5} people")


if __name__ == "__main__":
    main()

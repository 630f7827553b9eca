"""Linkers taught by other people's carriers: whose plain photo a carrier belongs to, with and without the key.

    python experiments/carrier/make.py --shared ../shared --cache CACHE --group pairs --people 360
    python experiments/carrier/linkage.py --shared ../shared --cache CACHE --first 122 --people 422

The attackers of single images in experiments/pseudonym/linkers.py, with its measures and its Holm adjustment. Ridge
maps are taught by the carriers of the group `pairs`, each person under an own secret; carriers are aligned as any
service does, by a detector's landmarks. The gallery has the second plain photo of each person of `test`, whose first
one the carrier was made of.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from carriers import Lfw, arguments, file_of, load, record, rows_of
from common import show
from embeddings import crops
from linkers import adjusted, noted, taught_by, untaught
from uploads import Networks, Seen, networks

from facemin.face import Detector, align
from facemin.image import decode

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray


def main() -> None:
    """Attack, print, record."""
    given = arguments(__doc__)
    lfw, looking = load(given.shared, given.cache), networks(given.shared)
    test, sent = looked_at(given, lfw, looking, "test")
    pairs, teaching = looked_at(given, lfw, looking, "pairs")
    plain = looking(crops(given.shared, [lfw.paths[row] for row in test[:, 1]]), blurred=False).features
    table: list[dict[str, Any]] = []
    note = partial(noted, table, "carrier")
    untaught(sent, plain, lfw.both[test[:, 1]], note)
    taught_by(teaching, sent, lfw.both[pairs[:, 0]], lfw.both[test[:, 1]], note)
    record("linkage", given, {"pairs": len(pairs), "people": len(test), "table": adjusted(table)})
    for row in sorted(table, key=lambda row: -row["interval"][1]):
        show(f"{row['attacker']} [{row['row']}]; Holm {row['holm']['auc']:.2g}", row)


def looked_at(given: argparse.Namespace, lfw: Lfw, looking: Networks, group: str) -> tuple[NDArray[np.int64], Seen]:
    """Rows of the people's photos, (N, photos), and what is computed of their first carriers, where a face is found."""
    folder = given.cache / f"carriers-photo-{group}"
    rows = rows_of(lfw, group, given.people if group == "test" else len(lfw.paths))
    first = given.first if group == "test" else 0
    detector, faces, kept = Detector(threads=1), [], []
    for number in range(first, len(rows)):
        if not file_of(folder, number, 0).is_file():
            continue
        image = decode(file_of(folder, number, 0)).pixels
        if found := detector(image):
            faces.append(align(image, found[0].points[None])[0])
            kept.append(number)
    return rows[kept], looking(np.stack(faces))


if __name__ == "__main__":
    main()

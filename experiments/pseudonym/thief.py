"""What falls when a secret is stolen, or when pairs of photos and uploads under it are known: the thief's table.

    python experiments/pseudonym/thief.py --shared ../shared --cache CACHE

People of `report`. A stolen secret: 300 people's uploads, taken back by their rotations, against one plain photo each.
Known pairs of one person: n photos and their uploads; another upload of that person is looked for among 300 plain
photos. Known pairs of a site: n other people's photos and uploads under the rotation that all share; 300 people's
uploads against one plain photo each. Features, and images that end `CHORD` beside their targets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from common import CHORD, Lfw, arguments, as_images, load, record, rotation, show, together

from facemin.attack.secret.procrustes import known_map, known_rotation
from facemin.metrics import wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]

TEST = 300
PAIRS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
RIDGE = 0.1


def main() -> None:
    """Attack, print, record."""
    given = arguments(__doc__, draws=5)
    lfw = load(given.shared, given.cache)
    generator = np.random.default_rng(given.seed)
    two = np.stack(lfw.people("report", least=2, most=2))[:TEST]
    rows = [stolen(lfw, two)]
    for chord in (0.0, CHORD):
        rows += site(lfw, two, chord, given.draws, generator)
        rows += one_person(lfw, two, chord, generator)
    record("thief", given, {"rows": rows})


def stolen(lfw: Lfw, two: NDArray[np.int64]) -> dict[str, Any]:
    """Whoever has the secret takes uploads back, exactly: the recogniser itself is left."""
    row = {"setting": "secret stolen", **together([lfw.both[two[:, 0]] @ lfw.both[two[:, 1]].T])}
    show("secret stolen (or none)", row)
    return row


def site(
    lfw: Lfw, two: NDArray[np.int64], chord: float, draws: int, generator: np.random.Generator
) -> list[dict[str, Any]]:
    """A rotation that many people share, n of whose pairs are known."""
    others = np.stack(lfw.people("fit", "choose", least=1, most=1))[:, 0]
    rows = []
    for n in PAIRS:
        found: dict[str, list[Rows]] = {"Procrustes": [], "ridge": []}
        for _ in range(draws):
            shared = rotation(lfw.dimension, generator)
            known = generator.choice(others, n, replace=False)
            pairs = lfw.both[known], sent(lfw.both[known], shared, chord, generator)
            uploads = sent(lfw.both[two[:, 0]], shared, chord, generator)
            for name, back in taken_back(*pairs).items():
                found[name].append(uploads @ back.T @ lfw.both[two[:, 1]].T)
        for name, scores in found.items():
            row = {"setting": "site", "pairs": n, "attacker": name, "chord": chord, **together(scores)}
            show(f"site secret, {n} pairs of others, chord {chord}, {name}", row)
            rows.append(row)
    return rows


def one_person(lfw: Lfw, two: NDArray[np.int64], chord: float, generator: np.random.Generator) -> list[dict[str, Any]]:
    """With n pairs of a person, one more upload is looked for among plain photos of 300 people, one of that person."""
    rows = []
    for n in PAIRS:
        people = lfw.people("report", least=n + 2)
        places: dict[str, list[int]] = {"Procrustes": [], "ridge": [], "same angle to the known photos": []}
        for person in people:
            strangers = two[[pair[0] not in person for pair in two]][: TEST - 1, 1]
            own, photos = rotation(lfw.dimension, generator), generator.permuted(person)[: n + 2]
            known = lfw.both[photos[:n]]
            pairs = known, sent(known, own, chord, generator)
            upload = sent(lfw.both[photos[n : n + 1]], own, chord, generator)
            gallery = lfw.both[np.concatenate([photos[n + 1 :], strangers])]
            for name, back in taken_back(*pairs).items():
                places[name].append(_place(upload @ back.T @ gallery.T))
            angles = np.abs(gallery @ known.T - upload @ pairs[1].T).mean(1)[None]
            places["same angle to the known photos"].append(_place(-angles))
        for name, found in places.items():
            rows.append({"setting": "one person", "pairs": n, "attacker": name, "chord": chord, **ranked(found)})
            print(f"{n} pairs of one person, chord {chord}, {name}: {rows[-1]}", flush=True)
    return rows


def ranked(places: list[int]) -> dict[str, Any]:
    """Shares of people at rank one and ten of a gallery of TEST."""
    counts = {k: sum(place <= k for place in places) for k in (1, 10)}
    return {
        "people": len(places),
        **{
            f"rank {k}": {
                "hits": hits,
                "share": round(hits / len(places), 4),
                "interval": [round(end, 4) for end in wilson(hits, len(places))],
                "chance": round(k / TEST, 4),
            }
            for k, hits in counts.items()
        },
    }


def sent(rows: Rows, turned: Rows, chord: float, generator: np.random.Generator) -> Rows:
    """Uploads under a rotation: features, or where images of them end."""
    wanted = rows @ turned.T
    return as_images(wanted, chord, generator) if chord else wanted


def taken_back(plain: Rows, uploaded: Rows) -> dict[str, Rows]:
    """Maps from uploads to plain embeddings, by how they are found."""
    return {
        "Procrustes": known_rotation(plain, uploaded).T,
        "ridge": known_map(plain, uploaded, ridge=RIDGE),
    }


def _place(scores: Rows) -> int:
    """Rank of the first of a gallery, ties against it."""
    return int((scores[0, 1:] >= scores[0, 0]).sum()) + 1


if __name__ == "__main__":
    main()

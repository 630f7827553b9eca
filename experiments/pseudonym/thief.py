"""What falls when a secret is stolen, or when pairs of photos and uploads under it are known: the thief's table.

    python experiments/pseudonym/thief.py --shared ../shared --cache CACHE

People of `report`. A stolen secret: 300 people's uploads, taken back by their rotations, against one plain photo each:
embeddings sent whole, as enrolments are, and n probes as a client sends them by default, with the enrolment or alone.
Known pairs of one person: n photos and their uploads; another upload of that person is looked for among 300 plain
photos; all sent whole, or the first enrolled and the others probes, of which the enrolment's photo is known or is not.
Known pairs of a site, whose uploads go whole: n other people's photos and uploads under the rotation that all share;
300 people's uploads against one plain photo each. Features, and images that end `CHORD` beside their targets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from common import CHORD, Lfw, arguments, as_images, load, record, rotation, show, together, unit
from probe_curve import FAR, threshold_at
from probe_curve import sent as account

from facemin.attack.secret.procrustes import known_map, known_rotation
from facemin.client.probes import MARGIN
from facemin.metrics import wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]

TEST = 300
PAIRS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
PROBES = (1, 2, 5, 10)
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
    threshold = threshold_at(FAR)
    for chord, form in ((0.0, "feature"), (CHORD, "image")):
        most = threshold + MARGIN[form]
        rows += stolen_probes(lfw, chord, most, generator)
        for skipped in (0, 1):
            rows += one_person(lfw, two, chord, generator, most=most, skipped=skipped)
    record("thief", given, {"rows": rows, "threshold": threshold, "margins": MARGIN})


def stolen(lfw: Lfw, two: NDArray[np.int64]) -> dict[str, Any]:
    """Whoever has the secret takes uploads back, exactly: the recogniser itself is left."""
    row = {"setting": "secret stolen", **together([lfw.both[two[:, 0]] @ lfw.both[two[:, 1]].T])}
    show("secret stolen (or none)", row)
    return row


def stolen_probes(lfw: Lfw, chord: float, most: float, generator: np.random.Generator) -> list[dict[str, Any]]:
    """The same for n probes of an account, put together, without its enrolment and with it."""
    rows = []
    for n in PROBES:
        photos = np.stack([person[: n + 2] for person in lfw.people("report", least=n + 2)][:TEST])
        uploads = account(lfw.both[photos[:, :-1]], kind="decision", most=most, generator=generator)
        back = as_images(uploads, chord, generator) if chord else uploads
        plain = lfw.both[photos[:, -1]]
        for name, used in (
            ("probes", back[:, 1:]),
            ("enrolment and probes", back),
            ("enrolment", back[:, :1]),
            ("their photos, sent whole", lfw.both[photos[:, 1:-1]]),
        ):
            row = {"setting": "secret stolen, probes", "used": name, "probes": n, "chord": chord}
            rows.append(row | together([unit(used.mean(1)) @ plain.T]))
            show(f"secret stolen, {n} probes, chord {chord}, {name}", rows[-1])
    return rows


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


def one_person(
    lfw: Lfw,
    two: NDArray[np.int64],
    chord: float,
    generator: np.random.Generator,
    *,
    most: float | None = None,
    skipped: int = 0,
) -> list[dict[str, Any]]:
    """With n pairs of a person, one more upload is looked for among plain photos of 300 people, one of that person.

    With `most`, uploads after the first are probes whose best score is cut off there; so many of the first uploads are
    no known pairs.
    """
    rows = []
    kind = "embedding" if most is None else "decision"
    about = {"probe": kind, "enrolment known": not skipped, "chord": chord}
    for n in PAIRS:
        people = lfw.people("report", least=n + 2 + skipped)
        places: dict[str, list[int]] = {"Procrustes": [], "ridge": [], "same angle to the known photos": []}
        for person in people:
            strangers = two[[pair[0] not in person for pair in two]][: TEST - 1, 1]
            own, photos = rotation(lfw.dimension, generator), generator.permuted(person)[: n + 2 + skipped]
            whole = lfw.both[photos[:-1]]
            kept = account(whole[None], kind=kind, most=most or 1.0, generator=generator)[0]
            uploads, known = sent(kept, own, chord, generator)[skipped:], whole[skipped:-1]
            upload, gallery = uploads[-1:], lfw.both[np.concatenate([photos[-1:], strangers])]
            for name, back in taken_back(known, uploads[:-1]).items():
                places[name].append(_place(upload @ back.T @ gallery.T))
            angles = np.abs(gallery @ known.T - upload @ uploads[:-1].T).mean(1)[None]
            places["same angle to the known photos"].append(_place(-angles))
        for name, found in places.items():
            rows.append({"setting": "one person", "pairs": n, "attacker": name, **about, **ranked(found)})
            print(f"{n} pairs of one person, {about}, {name}: {rows[-1]}", flush=True)
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

"""A site's rotation without a known pair: alignment of the cloud of uploads with a cloud of plain faces.

    python experiments/pseudonym/alignment.py --shared ../shared --cache CACHE

The attacker holds uploads of people of `report` under one rotation (features, which is his best case), 300 of whom (or
as many as there are) are judged against one plain photo each; and as plain faces (a) other people's, `fit` and
`choose`, or (b) other photos of the very same people, one each, as a site's own staff pages would give: he does not
know which is whose. Methods start from principal axes and from the Gram matrices; the result whose rotated cloud fits
best, as an attacker can see himself, is judged.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from common import arguments, load, record, rotation, show, together

from facemin.attack.secret.adversarial import AdversarialAlignment, DiscriminatorSettings, adversarial_rotation
from facemin.attack.secret.alignment import (
    Transport,
    csls,
    nearest_neighbours,
    principal_axes,
    relaxed_start,
    wasserstein_procrustes,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Rows = NDArray[np.float64]
    Align = Callable[[Rows, Rows, Rows], Rows]

TEST = 300
ROUNDS = 15
MOST = 1500
"""Faces of either cloud, at most."""
SAME = (800, 400, 200, 100)
TRANSPORT = Transport(batches=(800,) * 8, steps=40)
ADVERSARY = AdversarialAlignment(steps=400, discriminator=DiscriminatorSettings(steps=3))


def main() -> None:
    """Attack, print, record."""
    given = arguments(__doc__)
    lfw = load(given.shared, given.cache)
    generator = np.random.default_rng(given.seed)
    shared = rotation(lfw.dimension, generator)
    two = np.stack(lfw.people("report", least=2, most=2))
    one = np.stack(lfw.people("report", least=1, most=1))[:, 0]
    others = np.concatenate(lfw.people("fit", "choose", least=1))
    settings: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = {
        "other people's plain faces": (generator.permutation(others)[:MOST], generator.permutation(one)[:MOST]),
    }
    for people in SAME:
        settings[f"other photos of the same {people} people"] = two[:people, 1], two[:people, 0]
    rows = []
    for setting, (plain, sent) in settings.items():
        clouds = lfw.both[plain], lfw.both[sent] @ shared.T
        judged = two[: min(TEST, len(sent))]
        uploads, gallery = lfw.both[judged[:, 0]] @ shared.T, lfw.both[judged[:, 1]]
        starts = principal_axes(*clouds), relaxed_start(*clouds)
        for name, align in METHODS.items():
            found = max((align(*clouds, start) for start in starts), key=partial(_fit, *clouds))
            row = {
                "setting": setting,
                "attacker": name,
                "plain faces": len(plain),
                "uploads": len(sent),
                "error": round(float(np.linalg.norm(found - shared) / (2 * lfw.dimension) ** 0.5), 4),
                **together([uploads @ found @ gallery.T]),
            }
            rows.append(row)
            show(f"{setting}; {name}; error {row['error']}", row)
    record("alignment", given, {"rows": rows, "error": "Frobenius, 1 where rotations are unrelated"})


def _fit(plain: Rows, sent: Rows, found: Rows) -> float:
    return float(csls(plain @ found.T, sent).max(0).mean())


def _neighbours(plain: Rows, sent: Rows, start: Rows) -> Rows:
    return nearest_neighbours(plain, sent, start, rounds=ROUNDS)


def _transport(plain: Rows, sent: Rows, start: Rows) -> Rows:
    return nearest_neighbours(plain, sent, wasserstein_procrustes(plain, sent, start, TRANSPORT), rounds=ROUNDS)


def _adversarial(plain: Rows, sent: Rows, start: Rows) -> Rows:
    return nearest_neighbours(plain, sent, adversarial_rotation(plain, sent, start, ADVERSARY), rounds=ROUNDS)


METHODS: dict[str, Align] = {
    "a start itself": lambda _, __, start: start,
    "iterated nearest neighbours": _neighbours,
    "Wasserstein-Procrustes": _transport,
    "adversarial": _adversarial,
}


if __name__ == "__main__":
    main()

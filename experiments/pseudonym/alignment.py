"""A site's rotation without a known pair: alignment of the cloud of uploads with a cloud of plain faces.

    python experiments/pseudonym/alignment.py --shared ../shared --cache CACHE

The attacker holds uploads of people of `report` under one rotation (features, which is his best case), 300 of whom are
judged against one plain photo each; and as plain faces (a) other people's, `fit` and `choose`, or (b) other photos of
the very same people, as a site's own staff pages would give. Each method has several starts; the one whose rotated
cloud fits best, as an attacker can see himself, is judged.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from common import arguments, load, record, rotation, show, together

from facemin.attack.secret.adversarial import AdversarialAlignment, adversarial_rotation
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
    Align = Callable[[Rows, Rows, int], Rows]

TEST = 300
RELAXED = 800
"""Faces whose Gram matrices are matched for a first rotation."""


def main() -> None:
    """Attack, print, record."""
    given = arguments(__doc__, starts=3)
    lfw = load(given.shared, given.cache)
    generator = np.random.default_rng(given.seed)
    shared = rotation(lfw.dimension, generator)
    two = np.stack(lfw.people("report", least=2, most=2))
    one = np.stack(lfw.people("report", least=1, most=1))[:, 0]
    others = np.concatenate(lfw.people("fit", "choose", least=1))
    settings = {
        "other people's plain faces": (others, one),
        "other photos of the same people": (two[:, 1], two[:, 0]),
    }
    rows = []
    for setting, (plain, sent) in settings.items():
        clouds = lfw.both[plain], lfw.both[sent] @ shared.T
        uploads, gallery = lfw.both[two[:TEST, 0]] @ shared.T, lfw.both[two[:TEST, 1]]
        for name, align in METHODS.items():
            starts = range(given.starts if name not in ONE_START else 1)
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


ONE_START = ("principal axes", "Gram matrices (Gromov-Wasserstein)")
"""Methods that are a start themselves."""


def _fit(plain: Rows, sent: Rows, found: Rows) -> float:
    return float(csls(plain @ found.T, sent).max(0).mean())


def first(plain: Rows, sent: Rows, start: int) -> Rows:
    """The start of a given number: principal axes, Gram matrices of some faces, then random rotations."""
    generator = np.random.default_rng(start)
    if start == 0:
        return principal_axes(plain, sent)
    if start == 1:
        some = [rows[generator.permutation(len(rows))[:RELAXED]] for rows in (plain, sent)]
        return relaxed_start(*some)
    return rotation(plain.shape[1], generator)


def _neighbours(plain: Rows, sent: Rows, start: int) -> Rows:
    return nearest_neighbours(plain, sent, first(plain, sent, start))


def _transport(plain: Rows, sent: Rows, start: int) -> Rows:
    moved = wasserstein_procrustes(plain, sent, first(plain, sent, start), Transport(seed=start))
    return nearest_neighbours(plain, sent, moved)


def _adversarial(plain: Rows, sent: Rows, start: int) -> Rows:
    settings = AdversarialAlignment(seed=start, steps=600, looks=3)
    return nearest_neighbours(plain, sent, adversarial_rotation(plain, sent, first(plain, sent, start), settings))


METHODS: dict[str, Align] = {
    "principal axes": lambda plain, sent, _: first(plain, sent, 0),
    "Gram matrices (Gromov-Wasserstein)": lambda plain, sent, _: first(plain, sent, 1),
    "iterated nearest neighbours": _neighbours,
    "Wasserstein-Procrustes": _transport,
    "adversarial": _adversarial,
}


if __name__ == "__main__":
    main()

"""The same photos under two rotations, and photos among the uploads that the attacker has: accounts found by them.

    python experiments/pseudonym/same_photos.py --shared ../shared --cache CACHE

All people of LFW with n photos. Two accounts a person, at two providers or before and after a renewal, made of the
same n photos; each account of the one side is looked for among all of the other. Features, and images `CHORD` off
their targets. Then: six uploads as features, and an attacker who has k of the photos sent of every candidate (two
others, for k = 0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from common import CHORD, arguments, as_images, load, record, rotation, show, together

from facemin.attack.secret.gram import gram
from facemin.attack.secret.same_photos import same_photo_scores, shared_photo_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]

UPLOADS = 6


def main() -> None:
    """Attack, print, record."""
    given = arguments(__doc__)
    lfw = load(given.shared, given.cache)
    generator = np.random.default_rng(given.seed)
    rows = []
    for n in (2, 3, 5):
        photos = np.stack(lfw.people("fit", "choose", "report", least=n, most=n))
        for chord in (0.0, CHORD):
            sides = [gram(_accounts(lfw.both[photos], chord, generator)) for _ in range(2)]
            order = np.array([generator.permutation(n) for _ in photos])
            mixed = np.take_along_axis(np.take_along_axis(sides[1], order[:, :, None], 1), order[:, None, :], 2)
            scores = same_photo_scores(sides[0], mixed)
            rows.append({"setting": "two rotations", "photos": n, "chord": chord, **together([scores])})
            show(f"the same {n} photos under two rotations, chord {chord}", rows[-1])
    photos = np.stack(lfw.people("fit", "choose", "report", least=UPLOADS + 2, most=UPLOADS + 2))
    for known in (0, 2, 3):
        uploads = gram(_accounts(lfw.both[photos[:, :UPLOADS]], 0.0, generator))
        held = photos[:, :known] if known else photos[:, UPLOADS:]
        scores = shared_photo_scores(uploads, gram(lfw.both[held]))
        rows.append({"setting": "photos known", "known": known, "of": UPLOADS, **together([scores])})
        show(f"{known} of {UPLOADS} uploads are photos that the attacker has", rows[-1])
    record("same_photos", given, {"rows": rows})


def _accounts(rows: Rows, chord: float, generator: np.random.Generator) -> Rows:
    """Uploads (N, n, D) of each person under an own rotation."""
    turned = np.stack([some @ rotation(rows.shape[-1], generator).T for some in rows])
    return as_images(turned, chord, generator) if chord else turned.astype(np.float32).astype(np.float64)


if __name__ == "__main__":
    main()

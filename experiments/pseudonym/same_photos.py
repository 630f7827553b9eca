"""The same photos under two rotations, and photos among the uploads that the attacker has: accounts found by them.

    python experiments/pseudonym/same_photos.py --shared ../shared --cache CACHE

All people of LFW with n photos. Two accounts a person, at two providers or before and after a renewal, made of the
same n photos; each account of the one side is looked for among all of the other. Embeddings sent whole, and the first
photo enrolled and the others sent as probes, which is the default; features, and images `CHORD` off their targets.
Then: six uploads as features, and an attacker who has k of the photos sent of every candidate (two others, for k = 0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from common import CHORD, Lfw, arguments, as_images, load, record, rotation, show, together
from probe_curve import FAR, sent, threshold_at

from facemin.attack.secret.gram import gram
from facemin.attack.secret.probe_scores import probe_scores
from facemin.attack.secret.same_photos import same_photo_scores, shared_photo_scores
from facemin.client.probes import MARGIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]

UPLOADS = 6


def main() -> None:
    """Attack, print, record."""
    given = arguments(__doc__)
    lfw = load(given.shared, given.cache)
    generator = np.random.default_rng(given.seed)
    rows: list[dict[str, Any]] = []
    for probe in ("embedding", "decision"):
        for n in (2, 3, 5):
            photos = np.stack(lfw.people("fit", "choose", "report", least=n, most=n))
            for chord in (0.0, CHORD):
                rows += two_rotations(lfw.both[photos], probe, chord, generator)
        rows += photos_known(lfw, probe, generator)
    record("same_photos", given, {"rows": rows})


def two_rotations(photos: Rows, probe: str, chord: float, generator: np.random.Generator) -> list[dict[str, Any]]:
    """Accounts of the same photos (N, n, D), the first of them enrolled at both sides, the others in any order."""
    sides = [_accounts(photos, probe, chord, generator) for _ in range(2)]
    count, n = photos.shape[:2]
    order = np.array([np.append(0, 1 + generator.permutation(n - 1)) for _ in range(count)])
    mixed = np.take_along_axis(sides[1], order[:, :, None], 1)
    found = {
        "Gram matrices": same_photo_scores(gram(sides[0]), gram(mixed)),
        "scores with the enrolment": _alike(np.sort(probe_scores(sides[0])), np.sort(probe_scores(mixed))),
    }
    about = {"setting": "two rotations", "photos": n, "probe": probe, "chord": chord}
    rows = [about | {"attacker": name, **together([scores])} for name, scores in found.items()]
    for row in rows:
        show(f"the same {n} photos under two rotations, {probe}, chord {chord}, {row['attacker']}", row)
    return rows


def photos_known(lfw: Lfw, probe: str, generator: np.random.Generator) -> list[dict[str, Any]]:
    """Accounts of six uploads, and candidates of whom the attacker has k of the photos sent, the enrolled one first."""
    photos = np.stack(lfw.people("fit", "choose", "report", least=UPLOADS + 2, most=UPLOADS + 2))
    rows = []
    for known in (0, 2, 3):
        uploads = gram(_accounts(lfw.both[photos[:, :UPLOADS]], probe, 0.0, generator))
        held = photos[:, :known] if known else photos[:, UPLOADS:]
        scores = shared_photo_scores(uploads, gram(lfw.both[held]))
        rows.append({"setting": "photos known", "known": known, "of": UPLOADS, "probe": probe, **together([scores])})
        show(f"{known} of {UPLOADS} uploads are photos that the attacker has, {probe}", rows[-1])
    return rows


def _accounts(photos: Rows, probe: str, chord: float, generator: np.random.Generator) -> Rows:
    """Uploads (N, n, D) of each person under an own rotation, the first the enrolment."""
    most = threshold_at(FAR) + MARGIN["image" if chord else "feature"]
    rows = sent(photos, kind=probe, most=most, generator=generator)
    turned = np.stack([some @ rotation(rows.shape[-1], generator).T for some in rows])
    return as_images(turned, chord, generator) if chord else turned.astype(np.float32).astype(np.float64)


def _alike(first: Rows, second: Rows) -> Rows:
    """Less the squared distance of every two rows."""
    return np.asarray(2 * first @ second.T - (first**2).sum(1)[:, None] - (second**2).sum(1)[None])


if __name__ == "__main__":
    main()

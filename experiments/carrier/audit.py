"""Whether a base is somebody: bases against the people that the components were fitted on, and against others.

    python experiments/carrier/audit.py --shared ../shared --cache CACHE --people 100

`people` bases of random seeds, clear as those of carriers are. For each the nearest of the 2,547 people of `fit`, by
dlib's embeddings, and the nearest of as many people of `choose` and `report`, whom the components never saw; and the
same by the frames' brightness at 32 x 32 (500 of each). If bases reproduced people they were made of, the nearest would
be among those more often than in half of the cases, and nearer than the nearest of the others.
"""

from __future__ import annotations

import json
import sys
from itertools import count, islice
from typing import Any

import numpy as np
from carriers import REPOSITORY, arguments, load, record, seed
from components import frames

from facemin.face import align
from facemin.keys.default import default_key
from facemin.metrics import wilson
from facemin.models.onnx.run import FaceRunner
from facemin.protection.carrier.base import base_of
from facemin.protection.carrier.components import FRAME, landmarks_in, to_planes
from facemin.protection.carrier.detection import is_clear
from facemin.protection.carrier.known import low_frequencies

sys.path.insert(0, str(REPOSITORY / "experiments" / "pseudonym"))

THUMBNAILS = 500


def main() -> None:
    """Look, print, record."""
    given = arguments(__doc__)
    lfw = load(given.shared, given.cache)
    seen = np.stack(lfw.people("fit", least=1, most=1))[:, 0]
    others = np.concatenate([np.stack(lfw.people(part, least=1, most=1))[:, 0] for part in ("choose", "report")])
    others = np.random.default_rng(0).permutation(others)[: len(seen)]
    drawn = (base_of(seed("audit", number)) for number in count())
    bases = [base.pixels for base in islice((base for base in drawn if is_clear(base.frame)), given.people)]
    points = landmarks_in(FRAME).astype(np.float32)[None]
    key = default_key()
    assert key.space is not None
    rows = key.space.embed(FaceRunner(key.graph), np.stack([align(base, points)[0] for base in bases]))
    seen = seen[: len(others)]
    values = {
        "bases": len(bases),
        "embeddings": nearest(rows @ lfw.both[seen].T, rows @ lfw.both[others].T),
        "thumbnails": thumbnails(given, lfw, bases, seen[:THUMBNAILS], others[:THUMBNAILS]),
    }
    # how near people themselves come: another photo of a training person, and the nearest stranger of one
    two = np.stack(lfw.people("fit", least=2, most=2))
    own = (lfw.both[two[:, 0]] * lfw.both[two[:, 1]]).sum(1)
    strangers = lfw.both[others[:500]] @ lfw.both[seen].T
    values["for comparison"] = {
        "two photos of a person, cosine, median": round(float(np.median(own)), 3),
        "an unseen person's nearest of the fitted, cosine, median": round(float(np.median(strangers.max(1))), 3),
    }
    print(json.dumps(values, indent=1))
    record("audit", given, values)


def nearest(to_seen: np.ndarray, to_others: np.ndarray) -> dict[str, Any]:
    """How near the nearest are, and how often it is one of the fitted."""
    a, b = to_seen.max(1), to_others.max(1)
    hits = int((a > b).sum())
    difference = a - b
    error = float(difference.std(ddof=1) / len(difference) ** 0.5)
    return {
        "people each": to_seen.shape[1],
        "nearest of the fitted, median and largest": [round(float(np.median(a)), 3), round(float(a.max()), 3)],
        "nearest of the others, median and largest": [round(float(np.median(b)), 3), round(float(b.max()), 3)],
        "mean difference": round(float(difference.mean()), 4),
        "interval": [round(float(difference.mean()) + sign * 1.96 * error, 4) for sign in (-1, 1)],
        "nearest is one of the fitted": round(hits / len(a), 3),
        "its interval": [round(value, 3) for value in wilson(hits, len(a))],
    }


def thumbnails(given: Any, lfw: Any, bases: list[np.ndarray], seen: np.ndarray, others: np.ndarray) -> dict[str, Any]:
    """The same by normalised brightness at 32 x 32."""

    def low(images: np.ndarray) -> np.ndarray:
        rows = low_frequencies(np.stack([to_planes(image) for image in images]))
        rows = rows - rows.mean(1, keepdims=True)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    ours = low(np.stack([base.reshape(256, 2, 256, 2, 3).mean((1, 3)).round().astype(np.uint8) for base in bases]))
    sides = [low(frames(given.shared, [lfw.paths[row] for row in some])) for some in (seen, others)]
    return nearest(*(ours @ side.T for side in sides))


if __name__ == "__main__":
    main()

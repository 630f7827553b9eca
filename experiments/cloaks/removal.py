"""What removing a mask gives back where nothing but the photo and the mask is there: the face found anew.

    python experiments/cloaks/removal.py --shared ../shared --masks results/cloaks/work/DIGEST [--people 20]

Masks as experiments/cloaks/run.py left them. Each photo is cloaked where facemin's own detector finds the face, and the
mask removed where it finds the face in the cloaked photo; dlib's network then compares with the enrolled photo.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facemin.cloak.lay import lay
from facemin.experiments.cloaks.measure import embedded, unit
from facemin.experiments.cloaks.people import cut, load_people
from facemin.experiments.cloaks.scoring import thresholds
from facemin.experiments.cloaks.settings import People
from facemin.experiments.common import script_parser
from facemin.face import Detector, nearest_to_centre
from facemin.models import load_recogniser


def main() -> None:
    """Measure and print the share accepted plain, cloaked and after removal."""
    parser = script_parser(__doc__, people=20)
    parser.add_argument("--masks", type=Path, required=True)
    given = parser.parse_args()
    data = load_people(People(people=100, fit=6, probes=3, distractors=1000, impostors=1000), given.shared, seed=1)
    detector, dlib = Detector(threads=1), load_recogniser("dlib-resnet29")
    limits = thresholds(embedded(dlib, unit(data.impostors)), [1e-2, 1e-3])
    enrolled = embedded(dlib, unit(data.faces[: given.people, data.fit])).repeat_interleave(3, 0)
    kept: dict[str, list[np.ndarray]] = {"plain": [], "cloaked": [], "removed": []}
    for person in range(given.people):
        with np.load(given.masks / f"{person}.npz") as file:
            change = file["change"]
        for photo, points in zip(data.photos[person][data.fit + 1 :], data.points[person][data.fit + 1 :], strict=True):
            cloaked = lay(photo, change, found(photo, detector)[None])
            removed = lay(cloaked, change, found(cloaked, detector)[None], remove=True)
            for name, made in zip(kept, (photo, cloaked, removed), strict=True):
                kept[name].append(cut(made[None], points[None])[0])
    for name, faces in kept.items():
        scores = (embedded(dlib, unit(np.stack(faces))) * enrolled).sum(1)
        shares = {far: round(float((scores >= limit).float().mean()), 3) for far, limit in limits.items()}
        print(f"{name}: {len(scores)} photos of {given.people} people, accepted {shares}")


def found(photo: np.ndarray, detector: Detector) -> np.ndarray:
    """Landmarks (5, 2) of the face nearest to the photo's centre."""
    return nearest_to_centre(detector(photo), *photo.shape[:2]).points


if __name__ == "__main__":
    main()

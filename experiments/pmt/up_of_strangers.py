"""What UP's first term says of strangers: how often two noisy faces of different people count as one.

    python experiments/pmt/up_of_strangers.py --shared ../shared

UP (PMT, equation 9) counts a noisy protected face as useful where its cosine with the noisy plain face exceeds kappa.
Here both faces are plain, of one person or of two. Writes results/pmt/up_of_strangers.json; ten seconds of one core.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from facemin import load_recogniser
from facemin.datasets import genuine_pairs
from facemin.evaluation.judge import embed_all
from facemin.experiments.common import RESULTS, landmark_faces, lfw_half, provenance, script_parser
from facemin.experiments.noise import noisy_images
from facemin.runtime.files import write_atomically

RECOGNISER = "mobilefacenet-ms1m-arcface"
BOUNDS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
KAPPAS = (0.2, 0.3, 0.5)


def main() -> None:
    """Measure, record."""
    parser = script_parser(__doc__, people=40)
    parser.add_argument("--out", type=Path, default=RESULTS / "pmt" / "up_of_strangers.json")
    given = parser.parse_args()
    pairs = genuine_pairs(lfw_half(given.shared, "test"), given.people)
    faces = landmark_faces(given.shared, [pair.path_a for pair in pairs])
    recogniser = load_recogniser(given.shared / "models" / f"{RECOGNISER}.onnx")
    others = ~torch.eye(len(faces), dtype=torch.bool)
    rows = []
    for bound in BOUNDS:
        both = noisy_images(faces, faces, bound=bound, kind="gaussian", seed=0)
        cosines = embed_all(recogniser, both.protected) @ embed_all(recogniser, both.plain).T
        own, strangers = cosines.diagonal(), cosines[others]
        row = {
            "bound": bound,
            "own_mean": round(float(own.mean()), 4),
            "strangers_mean": round(float(strangers.mean()), 4),
        }
        for kappa in KAPPAS:
            row[f"own_above_{kappa}"] = round(float((own > kappa).double().mean()), 4)
            row[f"strangers_above_{kappa}"] = round(float((strangers > kappa).double().mean()), 4)
        rows.append(row)
        print(row, flush=True)
    record = {"recogniser": RECOGNISER, "people": len(faces), "rows": rows, **provenance(given, given.shared)}
    write_atomically(given.out, (json.dumps(record, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()

"""How far painted images lie from their targets, and the residual at which the default key lets them pass.

    python experiments/one_pass/residual.py --shared ../shared

One photo of each of some people of `fit` (experiments/pseudonym/people.json), under pseudonyms of fresh secrets, each
target painted with several noises and each image corrected as clients do it (--corrections 0: not); the distance is
the one that the protector checks, after a blur of 1 px. Rule: the smallest multiple of 0.01 that at most one in a
hundred targets misses with its first noise. What share then needs another noise, and what share none of them brings
within it, stands in the record for every limit. --part report tries the limit that ships on people it was not set by.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from facemin.experiments.common import RESULTS, script_parser, write_record
from facemin.keys.default import default_key
from facemin.metrics.intervals import wilson
from facemin.models import SPACE_MODEL
from facemin.models.onnx.run import FaceRunner
from facemin.protection.one_pass.painter import PAINTED_RESIDUAL, OnePass, Painter
from facemin.protection.one_pass.protector import CORRECTIONS
from facemin.protection.one_pass.protector_file import ProtectorFile
from facemin.protection.one_pass.shipped import shipped_protector

sys.path.append(str(Path(__file__).resolve().parents[1] / "pseudonym"))
from embeddings import all_photos, crops
from people import photos
from quality import rotation

MISSED = 0.01
"""Most first paintings that may miss the limit."""
CHECK = "blur-1"
LIMITS = [round(0.1 + 0.01 * step, 2) for step in range(26)]


def main() -> None:
    """Measure and write the record."""
    parser = script_parser(
        __doc__, out=RESULTS / "one_pass" / "residual.json", people=1500, noises=4, corrections=CORRECTIONS
    )
    parser.add_argument("--part", choices=("fit", "choose", "report"), default="fit", help="whose people")
    parser.add_argument("--protector", type=Path, help="the one that comes with facemin when not given")
    given = parser.parse_args()
    key = default_key()
    file = shipped_protector(SPACE_MODEL) if given.protector is None else ProtectorFile.load(given.protector)
    assert key.space is not None
    assert file is not None
    runner = FaceRunner(key.graph)
    painter = Painter(file, runner, OnePass(residual=2.0, checks=(CHECK,), tries=1, corrections=given.corrections))
    paths = [found[0] for found in photos(given.part, all_photos(given.shared)).values() if found][: given.people]
    rng = np.random.default_rng(0)
    parts = []
    for start in range(0, len(paths), 100):
        rows = key.space.embed(runner, crops(given.shared, paths[start : start + 100]))
        turned = np.stack([rotation(rows.shape[1], rng) @ row for row in rows])
        targets = (turned / np.linalg.norm(turned, axis=1, keepdims=True)).astype(np.float32)
        draws = [
            [one.residuals[CHECK] for one in painter(targets, list(range(first, first + len(targets))))]
            for first in (10_000 * number + start for number in range(given.noises))
        ]
        parts.append(np.array(draws).T)
        print(f"{start + len(rows)} of {len(paths)} targets", flush=True)
    residuals = np.concatenate(parts)
    chosen = math.ceil(100 * float(np.quantile(residuals[:, 0], 1 - MISSED))) / 100
    record: dict[str, Any] = {
        "format": "facemin one-pass residual 1",
        "protector_sha256": file.fingerprint,
        "targets": len(residuals),
        "noises": given.noises,
        "corrections": given.corrections,
        "people": given.part,
        "percentiles_5_50_95_99_100_of_the_first": [
            round(float(value), 4) for value in np.percentile(residuals[:, 0], (5, 50, 95, 99, 100))
        ],
        "rule": f"least multiple of 0.01 that at most {MISSED:g} of first paintings miss",
        "residual": chosen,
        "shares": {f"{limit:.2f}": shares(residuals, limit) for limit in sorted({*LIMITS, chosen, PAINTED_RESIDUAL})},
    }
    write_record(given.out, record)
    print(json.dumps({"residual": chosen, **record["shares"][f"{chosen:.2f}"]}))


def shares(residuals: np.ndarray, limit: float) -> dict[str, Any]:
    """Of targets: those that need another noise, and those that no noise brings within the limit."""
    again, never = int((residuals[:, 0] > limit).sum()), int((residuals.min(1) > limit).sum())
    count = len(residuals)
    return {
        "another_noise": round(again / count, 4),
        "fallback": round(never / count, 4),
        "fallback_wilson": [round(float(end), 4) for end in wilson(never, count)],
    }


if __name__ == "__main__":
    main()

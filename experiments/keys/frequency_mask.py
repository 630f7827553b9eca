"""Refusals of frequency masks by `facemin.protection.check_revealing`: orders drawn by chance, and those that hide.

    python experiments/keys/frequency_mask.py --shared ../shared

Thirty keys of the default recogniser, made a day apart from 1 January 2026, decide an order each; every one masks the
same faces of LFW people to report on. Appends a record for each of the two to results/keys/frequency_mask.jsonl.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import torch
from faces import sample

from facemin.ahm.masking.frequency_mask import FrequencyMask
from facemin.autograd.pixels import to_tensor, to_unit
from facemin.experiments.common import RESULTS, append_record, script_parser
from facemin.keys.key import export_key
from facemin.metrics import wilson
from facemin.models import DEFAULT_MODEL, MODELS
from facemin.protection.revealing.check import strongest_likeness

RECORDS = RESULTS / "keys" / "frequency_mask.jsonl"


def main() -> None:
    """Measure, write records and print."""
    arguments = script_parser(__doc__, keys=30, faces=20).parse_args()
    torch.set_num_threads(1)
    found = sample(arguments.shared.resolve(), 4 * arguments.faces)
    faces = found.faces[found.of("report", arguments.faces)]
    start = datetime(2026, 1, 1, tzinfo=UTC)
    keys = [
        # an early cut: the order depends on the fingerprint alone, and what an image is away from a key on the cut
        export_key(
            MODELS[DEFAULT_MODEL].graph(), "conv7", provider="x", residual=0.2, created=start + timedelta(days=day)
        )
        for day in range(arguments.keys)
    ]
    for hiding in (False, True):
        method = replace(FrequencyMask(), hiding=hiding)
        by_key, measures = [], Counter[str]()
        for key in keys:
            images = [done.pixels.numpy() for done in method(to_unit(to_tensor(faces)), [key], seed=0)]
            likenesses = [
                strongest_likeness(np.ascontiguousarray(image.transpose(1, 2, 0)), face, [key])
                for image, face in zip(images, faces, strict=True)
            ]
            refused = [each.measure for each in likenesses if each.share >= 1]
            measures.update(refused)
            by_key.append(len(refused))
        n = len(faces) * len(keys)
        interval = wilson(sum(by_key), n)
        record = {
            "hiding": hiding,
            "keys": len(keys),
            "faces": len(faces),
            "refused": sum(by_key),
            "n": n,
            "low": interval.low,
            "high": interval.high,
            "by_key": by_key,
            "by": measures,
        }
        append_record(RECORDS, record)
        print(f"hiding {hiding}: {sum(by_key)} of {n} refused ({interval.low:.3f} to {interval.high:.3f}); {by_key}")


if __name__ == "__main__":
    main()

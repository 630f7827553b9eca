"""Share of the face that a value of each of the default recogniser's layers leaves out.

    python experiments/keys/locality.py

Appends a record to results/keys/locality.jsonl. `feature_inversion.LOCAL` was set between conv128.1 and the cut after
it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import torch

from facemin.evaluation.provenance import conditions
from facemin.keys.key import export_key
from facemin.models import load_recogniser
from facemin.protection.revealing.by_fingerprint import ByFingerprint
from facemin.protection.revealing.feature_inversion import locality
from facemin.runtime.files import append_json

RECORDS = Path(__file__).resolve().parents[2] / "results" / "keys" / "locality.jsonl"


def main() -> None:
    """Measure, write a record and print."""
    torch.set_num_threads(1)
    recogniser = load_recogniser("dlib-resnet29")
    found = {}
    for cut in recogniser.cuts:
        key = export_key(recogniser, cut.name, provider="measurement", residual=0.2)
        found[cut.name] = locality(ByFingerprint(key))
        print(f"{cut.name:10} {found[cut.name]:.3f}", flush=True)
    record = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "recogniser": recogniser.name,
        "left out": found,
        **conditions(),
    }
    append_json(RECORDS, record)


if __name__ == "__main__":
    main()

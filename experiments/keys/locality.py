"""Share of the face that a value of each of the default recogniser's layers leaves out.

    python experiments/keys/locality.py

Appends a record to results/keys/locality.jsonl. `feature_inversion.LOCAL` was set between conv128.1 and the cut after
it.
"""

from __future__ import annotations

import torch

from facemin.experiments.common import RESULTS, append_record, script_parser
from facemin.keys.key import export_key
from facemin.models import load_recogniser
from facemin.protection.revealing.by_digest import by_graph
from facemin.protection.revealing.feature_inversion import locality

RECORDS = RESULTS / "keys" / "locality.jsonl"


def main() -> None:
    """Measure, write a record and print."""
    script_parser(__doc__, shared=False).parse_args()
    torch.set_num_threads(1)
    recogniser = load_recogniser("dlib-resnet29")
    found = {}
    for cut in recogniser.cuts:
        key = export_key(recogniser, cut.name, provider="measurement", residual=0.2)
        found[cut.name] = locality(by_graph(key))
        print(f"{cut.name:10} {found[cut.name]:.3f}", flush=True)
    record = {
        "recogniser": recogniser.name,
        "left out": found,
    }
    append_record(RECORDS, record)


if __name__ == "__main__":
    main()

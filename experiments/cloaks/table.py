"""Tables of measured cloaks in Markdown.

    python experiments/cloaks/table.py results/cloaks/cloaks.cloaks.jsonl [--far 0.001] [--condition "cloaked to plain"]

--far and --condition may be repeated; without them all there are.
"""

from __future__ import annotations

from pathlib import Path

from facemin.experiments.cloaks.records import read_cloak_records
from facemin.experiments.cloaks.table import hits_table, protection_table, quality_table
from facemin.experiments.common import script_parser


def main() -> None:
    """Print protection at each FAR, hits at ranks 1 and 5, and quality."""
    parser = script_parser(__doc__, shared=False)
    parser.add_argument("records", type=Path)
    parser.add_argument("--far", action="append")
    parser.add_argument("--condition", action="append")
    given = parser.parse_args()
    records = read_cloak_records(given.records)
    for far in given.far or ("0.01", "0.001"):
        print(f"\nProtection at FAR {far}\n\n{protection_table(records, far=far, conditions=given.condition)}")
    for rank in (1, 5):
        print(f"\nHits at rank {rank}\n\n{hits_table(records, rank=rank, conditions=given.condition)}")
    print(f"\nLikeness\n\n{quality_table(records)}")


if __name__ == "__main__":
    main()

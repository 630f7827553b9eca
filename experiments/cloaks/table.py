"""Tables of measured cloaks in Markdown.

    python experiments/cloaks/table.py results/cloaks/cloaks.cloaks.jsonl [--far 0.001] [--condition "cloaked to plain"]
    python experiments/cloaks/table.py results/cloaks/cloaks.cloaks.jsonl --into docs/cloaks.md

--far and --condition may be repeated; without them all there are. --into puts protection at FAR 1e-3 and likeness
between a document's marks.
"""

from __future__ import annotations

from pathlib import Path

from facemin.experiments.cloaks.records import read_cloak_records
from facemin.experiments.cloaks.table import hits_table, protection_table, quality_table
from facemin.experiments.common import replace_section, script_parser

BEGIN, END = "<!-- from table.py -->", "<!-- end of it -->"
SHORT = {
    "dlib-resnet29": "dlib",
    "mobilefacenet-casia-arcface": "CASIA",
    "mobilefacenet-casia-arcface-b": "CASIA, b",
    "mobilefacenet-ms1m-arcface": "MS1M",
    "mobilefacenet-y1-ms1m-arcface": "MS1M, y1",
    "mobilefacenet-vggface2-amsoftmax": "VGGFace2",
    "mobileface-v3": "v3",
}
"""Recognisers' names in documents."""


def main() -> None:
    """Print protection at each FAR, hits at ranks 1 and 5, and quality."""
    parser = script_parser(__doc__, shared=False)
    parser.add_argument("records", type=Path)
    parser.add_argument("--far", action="append")
    parser.add_argument("--condition", action="append")
    parser.add_argument("--into", type=Path)
    given = parser.parse_args()
    records = read_cloak_records(given.records)
    if given.into is not None:
        write_between_marks(given.into, f"{protection_table(records, far='0.001')}\n\n{quality_table(records)}")
        return
    for far in given.far or ("0.01", "0.001"):
        print(f"\nProtection at FAR {far}\n\n{protection_table(records, far=far, conditions=given.condition)}")
    for rank in (1, 5):
        print(f"\nHits at rank {rank}\n\n{hits_table(records, rank=rank, conditions=given.condition)}")
    print(f"\nLikeness\n\n{quality_table(records)}")


def write_between_marks(document: Path, tables: str) -> None:
    """Put tables between a document's two marks, recognisers by their short names."""
    for name, short in SHORT.items():
        tables = tables.replace(f"| {name} |", f"| {short} |")
    replace_section(document, BEGIN, END, f"\n{tables}")


if __name__ == "__main__":
    main()

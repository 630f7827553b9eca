"""The tables and plots of docs/paper.md, and a table of docs/experiments.md, made of records alone.

    python experiments/pmt/paper_page.py

Reads results; writes between the markers of the two pages, and docs/paper-*.png. No face is in any.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from paper_account import hours, precisions
from paper_matrix import matrix_tables
from paper_noise import up_tables
from paper_operations import operations_table, readings_table
from paper_parts import parts_tables
from paper_plots import curves, noise, png, transfer
from paper_ranks import ranks_table

from facemin.experiments.common import REPOSITORY, RESULTS, replace_section, script_parser
from facemin.experiments.layouts.groups import Group, grouped
from facemin.experiments.store.records import read_header, read_records
from facemin.runtime.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

DOCS = REPOSITORY / "docs"
BEGIN, END = "<!-- {}: begin, written by experiments/pmt/paper_page.py -->", "<!-- {}: end -->"


def main() -> None:
    """Write everything."""
    script_parser(__doc__, shared=False).parse_args()
    groups = {path.stem: read(path) for path in sorted((RESULTS / "pmt").glob("*.jsonl"))}
    parts = {
        "parts": parts_tables(groups),
        "matrix": matrix_tables(groups),
        "up": up_tables(groups),
        "ranks": ranks_table(),
        "readings": readings_table(groups),
        "precision": precisions(groups),
        "hours": hours(),
    }
    for name, body in parts.items():
        replace_section(DOCS / "paper.md", BEGIN.format(name), END.format(name), body)
    replace_section(
        DOCS / "experiments.md", BEGIN.format("operations"), END.format("operations"), operations_table(groups)
    )
    write_atomically(DOCS / "paper-transfer.png", png(transfer(groups)))
    write_atomically(DOCS / "paper-noise.png", png(noise(groups)))
    convergence = json.loads((RESULTS / "pmt" / "convergence.json").read_text(encoding="utf-8"))
    write_atomically(DOCS / "paper-convergence.png", png(curves(convergence)))


def read(path: Path) -> Group:
    """The experiment's cells as they are now; of several sets of faces the last."""
    return grouped(read_records(path), read_header(path))[-1]


if __name__ == "__main__":
    main()

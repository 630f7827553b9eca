"""Tables VI and VIII of PMT in docs/attacks.md, from the records of table6.py and table8.py alone.

python experiments/attacks/paper_tables.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from page import read_lines, write_table

from facemin.experiments.common import RESULTS, markdown_table, script_parser
from facemin.experiments.kinds.attributes import by_set, purified_table, raw_table
from facemin.experiments.kinds.reconstructions import cells_of, likeness, recognised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facemin.report.page import Table

RECORDS = RESULTS / "attacks"

Record = dict[str, Any]


def main() -> None:
    """Write both tables between their marks."""
    script_parser(__doc__, shared=False).parse_args()
    for name, made in (("table6", table6), ("table8", table8)):
        write_table(name, "paper_tables.py", made(read_lines(RECORDS / f"{name}.jsonl")))


def table6(records: Sequence[Record]) -> str:
    """Reconstructions: likeness, and whether the authorised recogniser takes them for the person; two tables."""
    cells = cells_of(records)
    words = "Intervals of means are by drawing people again, of shares Wilson's."
    return "\n".join([words, *_lines(likeness(cells)), *_lines(recognised(cells))])


def table8(records: Sequence[Record]) -> str:
    """Attributes: for each set each measure raw, and wherever most is read of it, purified or not."""
    made = [one for place in by_set(records).items() for one in (raw_table(*place), purified_table(*place))]
    return "\n".join(line for one in made for line in [f"{one.caption}:", *_lines(one), ""])


def _lines(made: Table) -> list[str]:
    return ["", *markdown_table(made)]


if __name__ == "__main__":
    main()

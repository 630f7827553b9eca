"""Tables of the records in `results/`; run as a module it writes the golden files anew, after records were added."""

import json
from pathlib import Path

from facemin.experiments.layouts.groups import grouped
from facemin.experiments.layouts.report import as_section
from facemin.experiments.layouts.sections import laid_out
from facemin.experiments.store.records import read_header, read_records
from tests.conftest import REPOSITORY
from tests.experiments.layouts.test_report import Page

RESULTS = REPOSITORY / "results" / "pmt"
GOLDEN = Path(__file__).parent / "golden"


def tables_of(records: Path) -> list[list[list[str]]]:
    """Rows of text of every table that the report makes of a file of records, in the page's order."""
    groups = grouped(read_records(records), read_header(records))
    return [rows for group in groups for rows in Page(laid_out(as_section(group, records.parent))).tables.values()]


if __name__ == "__main__":
    for file in sorted(RESULTS.glob("*.jsonl")):
        rows = [",\n".join(json.dumps(row, ensure_ascii=False) for row in table) for table in tables_of(file)]
        tables = ",\n".join(f"[\n{each}\n]" for each in rows)
        (GOLDEN / f"{file.stem}.json").write_text(f"[\n{tables}\n]\n", encoding="utf-8")

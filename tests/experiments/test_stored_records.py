"""Records stored by earlier versions are still read, and give the tables that they always gave."""

import json

import pytest

from facemin.experiments.layouts.groups import grouped
from facemin.experiments.store.records import read_header, read_records
from tests.experiments.stored_tables import GOLDEN, RESULTS, tables_of


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.json")))
def test_stored_records_give_their_tables(name: str) -> None:
    assert tables_of(RESULTS / f"{name}.jsonl") == json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def test_every_file_of_records_has_its_tables() -> None:
    assert {path.stem for path in RESULTS.glob("*.jsonl")} == {path.stem for path in GOLDEN.glob("*.json")} != set()


def test_two_rows_of_one_record_leave_none_superseded() -> None:
    records = read_records(RESULTS / "table4.jsonl")
    (group,) = grouped(records, read_header(RESULTS / "table4.jsonl"))
    assert len(group.rows) == len(records) + 1
    assert group.superseded == 0

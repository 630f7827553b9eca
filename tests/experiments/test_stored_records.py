"""Records stored by earlier versions are still read, and give the tables that they always gave."""

import json

import pytest

from tests.experiments.stored_tables import GOLDEN, RESULTS, tables_of


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.json")))
def test_stored_records_give_their_tables(name: str) -> None:
    assert tables_of(RESULTS / f"{name}.jsonl") == json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


def test_every_file_of_records_has_its_tables() -> None:
    assert {path.stem for path in RESULTS.glob("*.jsonl")} == {path.stem for path in GOLDEN.glob("*.json")} != set()

"""Files of records: what is read, and what a record says of the code that made it."""

import re
from pathlib import Path
from typing import Any

import pytest

from facemin.experiments.store.documents import is_changed, latest, read_documents
from tests.conftest import REPOSITORY


def test_reads_lines_and_single_documents_but_no_headers(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.jsonl").write_text('{"n": 1}\n{"n": 2}\n')
    (tmp_path / "b.json").write_text('{\n "n": 3\n}\n')
    (tmp_path / "a.header.json").write_text('{"name": "a"}\n')
    (tmp_path / "report.html").write_text("<p>")
    found = read_documents(tmp_path)
    assert [(one.name, one.records, one.ours) for one in found] == [
        ("b.json", ({"n": 3},), False),
        ("deep/a.jsonl", ({"n": 1}, {"n": 2}), False),
    ]


@pytest.mark.parametrize(("name", "where"), [("a.jsonl", r"a\.jsonl, line 2"), ("a.json", r"a\.json")])
def test_what_is_no_json_is_named(tmp_path: Path, name: str, where: str) -> None:
    (tmp_path / name).write_text('{"n": 1}\n{"n\n')
    with pytest.raises(ValueError, match=f"{where}: expected a record"):
        read_documents(tmp_path)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_what_is_not_utf_8_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes('{"n": "\xfc"}\n'.encode("latin-1"))
    with pytest.raises(ValueError, match=rf"{re.escape(str(tmp_path / name))}: expected UTF-8"):
        read_documents(tmp_path)


def test_our_own_records_that_are_not_utf_8_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"format":"facemin.bench/1","cell":"\xfc"}\n')
    with pytest.raises(ValueError, match=r"a\.jsonl: expected UTF-8"):
        read_documents(tmp_path)


def test_blank_lines_are_no_records(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"n": 1}\n\n{"n": 2}\r\n \r\n\n')
    stored = sorted((REPOSITORY / "results" / "pmt").glob("*.jsonl"))[0].read_text(encoding="utf-8").splitlines()[0]
    (tmp_path / "b.jsonl").write_text(f"{stored}\n\n{stored}\n\n", encoding="utf-8")
    ours, theirs = sorted(read_documents(tmp_path), key=lambda one: not one.ours)
    assert (ours.ours, len(ours.records)) == (True, 2)
    assert theirs.records == ({"n": 1}, {"n": 2})


def test_a_line_ends_only_where_its_record_does(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"n": "one\u2028two"}\n', encoding="utf-8")
    assert read_documents(tmp_path)[0].records == ({"n": "one\u2028two"},)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"dirty": True}, True),
        ({"dirty": False}, False),
        ({"conditions": {"dirty": True}}, True),
        ({"provenance": {"dirty": False}}, False),
        ({"record": {"dirty": True}}, True),
        ({"dirty": None}, None),
        ({"found": {"dirty": True}}, None),
        ([1, 2], None),
    ],
)
def test_what_a_record_says_of_its_code(record: Any, said: bool | None) -> None:
    assert is_changed(record) is said


def test_the_last_record_of_a_cell_counts_where_the_first_stood() -> None:
    records = [{"row": "a", "n": 1}, {"row": "b", "n": 2}, {"row": "a", "n": 3}]
    assert latest(records, "row") == [{"row": "a", "n": 3}, {"row": "b", "n": 2}]

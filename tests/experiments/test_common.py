"""Parts that experiment scripts share: command line, records, tables in documents."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from facemin.experiments.common import (
    REPOSITORY,
    append_record,
    provenance,
    replace_section,
    script_parser,
    table_head,
    write_record,
)
from facemin.experiments.layouts.entries import with_interval

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def test_a_command_line_has_what_was_asked_for(tmp_path: Path) -> None:
    assert vars(script_parser("", shared=False).parse_args([])) == {}
    given = script_parser("", cache="embeddings", out=tmp_path, few_people=3).parse_args(["--cache", "kept"])
    assert vars(given) == {
        "shared": REPOSITORY.parent / "shared",
        "cache": Path("kept"),
        "out": tmp_path,
        "few_people": 3,
    }


def test_provenance_holds_no_path_of_the_machine(tmp_path: Path) -> None:
    given = script_parser("", out=tmp_path, seed=7).parse_args([])
    assert provenance(given)["arguments"] == {"seed": "7"}


def test_records_are_appended_with_time_and_conditions(tmp_path: Path) -> None:
    for value in (1, 2):
        append_record(tmp_path / "r.jsonl", {"value": value})
    records = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [record["value"] for record in records] == [1, 2]
    assert {"commit", "dirty", "versions", "hardware"} <= set(records[0])
    age = datetime.now(UTC) - datetime.fromisoformat(records[1]["time"])
    assert timedelta(seconds=-2) < age < timedelta(minutes=5)


def test_a_record_replaces_the_one_before(tmp_path: Path) -> None:
    for value in (1, 2):
        write_record(tmp_path / "r.json", {"value": value})
    record = json.loads((tmp_path / "r.json").read_text())
    assert (record["value"], "commit" in record) == (2, True)


def test_a_section_is_replaced_and_the_rest_kept(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for _ in range(2):
        replace_section(page, BEGIN, END, "new\n")
        assert page.read_text() == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END} {BEGIN}"])
def test_a_document_without_both_marks_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ValueError, match=r"page\.md: expected <!-- table: begin -->"):
        replace_section(page, BEGIN, END, "new")
    assert page.read_text() == text


def test_the_head_of_a_table_has_a_rule_below_each_column() -> None:
    assert table_head("a", "b c") == ["| a | b c |", "| --- | --- |"]


def test_a_figure_is_printed_with_its_interval_and_no_negative_zero() -> None:
    assert with_interval(0.5, 0.251, 0.7449) == "0.50 (0.25 to 0.74)"
    assert with_interval(0.02, -0.001, 0.05) == "0.02 (0.00 to 0.05)"
    assert with_interval(13.98, 13.5, 14.51, digits=1) == "14.0 (13.5 to 14.5)"

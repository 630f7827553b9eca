"""The figure and the table of who finds a person: made from the records, as committed."""

import json
import runpy
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script() -> dict[str, object]:
    return runpy.run_path(str(ROOT / "experiments" / "pseudonym" / "glance.py"))


def test_the_committed_figure_is_that_of_the_records(script: dict[str, object]) -> None:
    drawn = script["figure"](script["rows"](script["RECORDS"]))  # type: ignore[operator]
    assert drawn == (ROOT / "docs" / "who-finds-you.svg").read_text()


def test_every_point_is_a_record_s(script: dict[str, object]) -> None:
    found = script["rows"](script["RECORDS"])  # type: ignore[operator]
    linkers = json.loads((ROOT / "results" / "pseudonym" / "linkers.jsonl").read_text().splitlines()[-1])["tables"]
    key = [row for row in linkers["a secret each"] if (row["attacker"], row["upload"]) == ("the key itself", "image")]
    first = next(iter(found.values()))
    assert tuple(first["a secret each"]) == (key[0]["auc"], *key[0]["interval"])
    assert all(point.low <= point.auc <= point.high for points in found.values() for point in points.values())
    # nobody is left out for being inconvenient: of several, the strongest under a secret
    shelf = found["has recognisers off the shelf (best of three)"]["a secret each"].auc
    assert shelf == max(row["auc"] for row in linkers["a secret each"] if row["attacker"].endswith("arcface itself"))


def test_it_is_words_and_shapes_alone() -> None:
    tree = ET.parse(ROOT / "docs" / "who-finds-you.svg")
    kinds = {element.tag.split("}")[1] for element in tree.iter()}
    assert kinds == {"svg", "style", "rect", "text", "path", "circle", "title"}
    assert "prefers-color-scheme:dark" in (ROOT / "docs" / "who-finds-you.svg").read_text()


def test_the_readme_s_table_is_that_of_the_records() -> None:
    script = runpy.run_path(str(ROOT / "experiments" / "pseudonym" / "who_table.py"))
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition(script["BEGIN"])[2].partition(script["END"])[0]
    assert section.strip() == script["table"](ROOT / "results").strip()
    linkers = json.loads((ROOT / "results" / "pseudonym" / "linkers.jsonl").read_text().splitlines()[-1])["tables"]
    for table, bold in (("no secret", ""), ("a secret each", "**")):
        key = next(row for row in linkers[table] if (row["attacker"], row["upload"]) == ("the key itself", "image"))
        low, high = key["interval"]
        first = f"{key['rank 1']['hits']} of {key['people']}"
        assert f"| {bold}{key['auc']:.3f} [{low:.3f}, {high:.3f}], {first}{bold} |" in section

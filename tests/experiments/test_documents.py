"""Sections of documents that scripts write: each one is what its script makes of the records that are there."""

import re
import runpy
import sys
from pathlib import Path

import pytest

from facemin.experiments import common
from tests.conftest import REPOSITORY

WRITERS = {
    "ahm/settle.py": ["--table"],
    "attacks/adversaries.py": ["--table"],
    "attacks/painted_table.py": [],
    "attacks/pairs_curve.py": ["--table"],
    "attacks/paper_tables.py": [],
    "attacks/rows.py": ["--table"],
    "attacks/taught_networks.py": [],
    "pseudonym/who_table.py": [],
}
"""What writes sections and measures nothing; experiments/pmt/paper_page.py, which draws too, is by itself."""


class Sections(dict[tuple[str, str], str]):
    """What scripts would write, by document and first mark; the documents stay as they are."""

    def take(self, page: Path, begin: str, end: str, text: str) -> None:
        del end
        self[page.relative_to(REPOSITORY).as_posix(), begin] = text.rstrip()

    def check(self) -> None:
        for (page, begin), text in self.items():
            written = (REPOSITORY / page).read_text(encoding="utf-8").partition(begin)[2]
            assert written.startswith(f"\n{text}\n<!-- "), f"{page}: run the script of {begin} again"


@pytest.fixture
def made(own_modules: None, monkeypatch: pytest.MonkeyPatch) -> Sections:
    sections = Sections()
    monkeypatch.setattr(common, "replace_section", sections.take)
    return sections


def run(script: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    path = REPOSITORY / "experiments" / script
    sys.path.insert(0, str(path.parent))
    monkeypatch.setattr(sys, "argv", [str(path), *arguments])
    runpy.run_path(str(path), run_name="__main__")


@pytest.mark.parametrize("script", WRITERS)
def test_a_section_is_what_its_script_makes_of_the_records(
    script: str, made: Sections, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(script, WRITERS[script], monkeypatch)
    assert made
    made.check()


def test_the_papers_page_is_what_its_script_makes_of_the_records(
    made: Sections, monkeypatch: pytest.MonkeyPatch
) -> None:
    from facemin.runtime import files

    # without its pictures
    monkeypatch.setattr(files, "write_atomically", lambda path, data: None)
    run("pmt/paper_page.py", [], monkeypatch)
    names = {re.findall(r"<!-- (\S+): begin", begin)[0] for _, begin in made}
    assert {"parts", "matrix", "up", "hours", "operations"} <= names
    made.check()

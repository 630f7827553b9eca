"""The page's files as they are committed: what they hold, what vouches for them, and how large they may be."""

import base64
import hashlib
import re
import subprocess
import tomllib
from html.parser import HTMLParser

import pytest

from facemin.service.api.routes import site
from tests.conftest import REPOSITORY
from tests.page.provider import missing_page

PAGE = REPOSITORY / "facemin" / "service" / "page"
BUDGET = {
    "index.html": 4_000,
    "page.css": 12_000,
    "page.js": 80_000,
    "engine.js": 120_000,
    "licences.txt": 8_000,
}
"""Bytes of each, unpacked."""
PACKED_BUDGET = 80_000
"""Bytes of all of them as they are sent."""
RUNTIME_BUDGET = 4_000_000
"""Bytes of onnxruntime-web as it is sent."""


class Loads(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []
        self.inline: list[str] = []
        self._tag = ""
        self.feed((PAGE / "index.html").read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._tag = tag
        if tag == "script" or (tag == "link" and given.get("rel") == "stylesheet"):
            self.found.append(given)
        self.inline += [name for name in given if name.startswith("on") or name == "style"]

    def handle_data(self, data: str) -> None:
        if self._tag in ("script", "style") and data.strip():
            self.inline.append(data)


def test_every_file_that_the_page_names_is_vouched_for_and_lies_beside_it() -> None:
    page = Loads()
    assert page.inline == []
    assert len(page.found) >= 2
    for given in page.found:
        name = given.get("src") or given.get("href") or ""
        assert re.fullmatch(r"[a-z]+\.(js|css)", name), name
        digest = hashlib.sha384((PAGE / name).read_bytes()).digest()
        assert given["integrity"] == f"sha384-{base64.b64encode(digest).decode()}", name


def test_the_pages_files_are_committed_and_the_runtime_is_not() -> None:
    if not (REPOSITORY / ".git").exists():
        pytest.skip("needs a checkout")
    listed = subprocess.run(
        ["git", "ls-files", "facemin/service/page"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.split()
    assert {path.rpartition("/")[2] for path in listed} == set(BUDGET)


def test_they_ship_in_the_wheel() -> None:
    targets = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert targets["wheel"]["packages"] == ["facemin"]
    assert {"facemin", "web", "hatch_build.py"} <= set(targets["sdist"]["include"])


@pytest.mark.parametrize("name", BUDGET)
def test_a_file_is_no_larger_than_it_may_be(name: str) -> None:
    assert (PAGE / name).stat().st_size <= BUDGET[name]


def test_what_is_sent_of_the_page_and_its_runtime_is_no_more_than_it_may_be() -> None:
    if (reason := missing_page()) is not None:
        pytest.skip(reason)
    packed = [site.asset(name, (PAGE / name).read_bytes()).packed for name in BUDGET]
    assert sum(len(data) for data in packed if data is not None) <= PACKED_BUDGET
    runtime = sum((PAGE / "ort" / f"{name}.gz").stat().st_size for name in site.RUNTIME)
    assert runtime <= RUNTIME_BUDGET


def test_nothing_of_the_page_names_another_host() -> None:
    hosts = set()
    for name in ("index.html", "page.js", "engine.js", "page.css"):
        hosts |= set(
            re.findall(r"(?:https?|wss?)://([A-Za-z0-9-]+\.[A-Za-z0-9.-]+)", (PAGE / name).read_text(encoding="utf-8"))
        )
    # names of XML vocabularies, which nothing loads
    assert hosts <= {"www.w3.org"}

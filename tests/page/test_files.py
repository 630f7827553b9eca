"""The page's files as they are committed: what they hold, what vouches for them, and how large they may be."""

import base64
import hashlib
import re
import subprocess
import tomllib

import pytest

from facemin.service.api.routes import site
from tests.conftest import REPOSITORY
from tests.html_page import HtmlPage
from tests.page.provider import missing_page

PAGE = REPOSITORY / "facemin" / "service" / "page"
BUDGET = {
    "index.html": 4_000,
    "page.css": 12_000,
    "page.js": 80_000,
    "engine.js": 125_000,
    "licences.txt": 8_000,
}
"""Bytes of each, unpacked."""
PACKED_BUDGET = 80_000
"""Bytes of all of them as they are sent."""
RUNTIME_BUDGET = 4_000_000
"""Bytes of onnxruntime-web as it is sent."""


def test_every_file_that_the_page_names_is_vouched_for_and_lies_beside_it() -> None:
    page = HtmlPage((PAGE / "index.html").read_text(encoding="utf-8"))
    assert page.inline == []
    loads = [given for given in page.all("script", "link") if "src" in given or given.get("rel") == "stylesheet"]
    assert len(loads) >= 2
    for given in loads:
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

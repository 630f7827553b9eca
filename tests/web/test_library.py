"""The TypeScript client: its own tests on the vectors, its types, and the built page that is committed."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.web.conftest import ROOT, WEB

BUILT = ROOT / "facemin" / "service" / "page"
FILES = {"index.html", "page.js", "page.css", "engine.js", "licences.txt"}


def run(*command: str | Path, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, cwd=WEB, env=os.environ | extra)


@pytest.mark.long
def test_vectors_and_units(node: str, networks: Path) -> None:
    done = run(node, "test/run.mjs", FACEMIN_MODELS=str(networks))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    counts = dict(re.findall(r"^# (pass|fail|skipped) (\d+)$", done.stdout, re.MULTILINE))
    assert int(counts["pass"]) >= 70
    assert (counts["fail"], counts["skipped"]) == ("0", "0")


@pytest.mark.long
def test_types_and_lint(node: str) -> None:
    for tool, *arguments in (("typescript/bin/tsc", "-p", "."), ("eslint/bin/eslint.js", "--max-warnings=0", ".")):
        done = run(node, WEB / "node_modules" / tool, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    done = run(node, WEB / "node_modules" / "prettier" / "bin" / "prettier.cjs", "--check", ".")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_is_what_the_sources_give(node: str, tmp_path: Path) -> None:
    done = run(node, "build.mjs", tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == FILES
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (BUILT / name).read_bytes(), f"{name}: npm --prefix web run build"


def test_the_built_page_names_no_other_host_and_evaluates_no_text() -> None:
    """No address but the namespace-free own ones, no markup from strings, no code from strings, no inline script."""
    for name in ("page.js", "engine.js", "page.css", "index.html"):
        text = (BUILT / name).read_text(encoding="utf-8")
        # namespaces are no addresses; "https://HOST" stands in a refusal's words
        assert set(re.findall(r"https?://[\w.]+", text)) <= {"https://HOST", "http://www.w3.org"}, name
        for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
            assert forbidden not in text, f"{name}: {forbidden}"
    page = (BUILT / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bon\w+=|style=", page)


def test_one_run_time_dependency() -> None:
    text = (WEB / "package.json").read_text(encoding="utf-8")
    block = re.search(r'"dependencies": \{([^}]*)\}', text)
    assert block is not None
    assert re.findall(r'"([\w@/-]+)":', block[1]) == ["onnxruntime-web"]
    lock = (WEB / "package-lock.json").read_text(encoding="utf-8")
    assert '"resolved"' not in lock

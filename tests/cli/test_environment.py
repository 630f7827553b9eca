"""Commands in environments that machines have: no locale, a narrow or coloured terminal, no folder to write in."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from facemin.cli.shared.options import WRONG_INPUT
from tests.cli.conftest import Call

ENVIRONMENTS = {
    "no variables": {},
    "C locale": {"LANG": "C", "LC_ALL": "C"},
    "ASCII output": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "narrow terminal": {"COLUMNS": "40", "LINES": "5", "TERM": "xterm"},
    "colour forced": {"FORCE_COLOR": "1", "TERM": "xterm-256color"},
    "no colour": {"NO_COLOR": "1", "TERM": "dumb"},
}
PROGRAM = """
import json, sys
from facemin.cli import run
print(json.dumps([run(["--help"]), run(["protect", "--help"]), run(["demo", "--out", sys.argv[1]])]))
"""
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_help_and_refusals_are_the_same_in_every_terminal(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "Grüße").touch()
    needed = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    command: list[str | bytes] = [sys.executable, "-W", "error", "-c", PROGRAM, "Grüße/demo".encode()]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=needed | environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [0, 0, WRONG_INPUT]
    shown = COLOURS.sub("", done.stdout.decode())
    assert "--carrier" in shown
    assert "every key reached" in " ".join(shown.split())
    (refusal,) = COLOURS.sub("", done.stderr.decode()).splitlines()
    assert re.fullmatch(r"facemin: --out: expected a folder, got the file .*Gr.+e", refusal)
    assert [path.name for path in tmp_path.iterdir()] == ["Grüße"]


@pytest.mark.parametrize("kind", ["a file", "not there and cannot be made"])
def test_a_data_folder_that_cannot_be_written_is_named(
    call: Call, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" if kind == "a file" else Path("/proc/none")
    monkeypatch.setenv("FACEMIN_HOME", str(folder))
    done = call("secret", "new")
    assert (done.returncode, done.stdout) == (WRONG_INPUT, "")
    assert done.stderr.startswith(f"facemin: {folder}")
    # reading what is not there needs no folder
    assert call("secret", "list").returncode == 0


def test_a_user_without_a_home_folder_is_told_to_name_one(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEMIN_HOME", "~nobody-here/facemin")
    done = call("secret", "new")
    assert done.returncode == WRONG_INPUT
    assert done.stderr.startswith("facemin: $FACEMIN_HOME: expected a folder")

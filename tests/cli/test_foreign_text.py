"""Names that strangers chose, on the terminal: nothing moves a cursor, and no line passes for one of ours."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import facemin.cli
from facemin.cli import run
from facemin.cli.shared.output import foreign

FOLDER = Path(facemin.cli.__file__).parent
NAMES = ["\x1b[31mred\x07.jpg", "a\nfailed: nothing.jpg", "\u202egpj.exe.jpg", "[bold]x.jpg", "\x9b2J.jpg"]


def prints(path: Path) -> list[str]:
    """Places of `print(...)` and `console.print(...)` in a module."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        plain = isinstance(called, ast.Name) and called.id == "print"
        drawn = isinstance(called, ast.Attribute) and called.attr == "print" and "console" in ast.unparse(called.value)
        if plain or drawn:
            found.append(f"{path.name}:{node.lineno}")
    return found


def test_one_module_prints() -> None:
    assert [place for path in sorted(FOLDER.rglob("*.py")) if path.name != "output.py" for place in prints(path)] == []


def test_the_finder_finds() -> None:
    assert len(prints(FOLDER / "shared" / "output.py")) == 3


@pytest.mark.parametrize("name", NAMES)
def test_a_file_s_name_shows_as_one_harmless_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / name).write_bytes(b"no photo")
    assert run(["protect", str(folder), "--out", str(tmp_path / "out"), "--no-pseudonym"]) == 1
    shown = capsys.readouterr()
    lines = (shown.out + shown.err).splitlines()
    assert all(letter.isprintable() for line in lines for letter in line)
    (failed,) = [line for line in lines if line.startswith("failed:")]
    assert name.split(".")[0].split("]")[-1].strip("\x1b\x07\x9b\u202e").split("\n")[0][-3:] in failed
    if name.startswith("[bold]"):
        assert "[bold]x.jpg" in failed


def test_an_error_of_several_lines_begins_none_as_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo = tmp_path / "a\nfacemin: all is well.jpg"
    assert run(["verify", str(photo), str(photo)]) == 2
    ours = [line for line in capsys.readouterr().err.splitlines() if line.startswith("facemin:")]
    assert len(ours) == 1


def test_foreign_text_has_no_markup_of_its_own() -> None:
    assert foreign("[red]x\n\x1b[2J") == "\\[red]x??[2J"


WARNS = """
import warnings
from facemin import cli
cli.app = lambda *_, **__: warnings.warn("a\\x1b[31m.png: kept", stacklevel=1)
cli.main()
"""


def test_a_warning_shows_as_one_harmless_line() -> None:
    done = subprocess.run([sys.executable, "-c", WARNS], capture_output=True, text=True, check=True)
    assert done.stderr == "note: a?[31m.png: kept\n"

"""The package costs nothing to import, and its public names are there."""

import subprocess
import sys
import tomllib
from pathlib import Path
from types import FunctionType

import pytest

import facemin
from tests.conftest import REPOSITORY

HEAVY = {"torch", "numpy", "onnx", "onnxruntime", "PIL", "pydantic", "sqlalchemy", "fastapi", "matplotlib", "jinja2"}


def loaded(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sorted(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


def test_importing_loads_nothing_that_computes() -> None:
    assert not HEAVY & loaded("import facemin")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["protect", "--help"]])
def test_help_loads_nothing_that_computes(arguments: list[str]) -> None:
    assert not HEAVY & loaded(f"from facemin.cli import run\ntry: run({arguments!r})\nexcept SystemExit: pass\nprint()")


def test_every_public_name_is_there() -> None:
    assert all(getattr(facemin, name) is not None for name in facemin.__all__)
    assert set(facemin.__all__) <= set(dir(facemin))
    assert facemin.__version__
    with pytest.raises(AttributeError, match="nonsense"):
        facemin.nonsense  # noqa: B018


@pytest.mark.parametrize(
    "code",
    [
        "import facemin.protection.pmt.method, facemin",
        "from facemin.protection import PMT; import facemin",
    ],
)
def test_protect_is_the_function_in_every_order_of_imports(code: str) -> None:
    check = f"{code}\nassert type(facemin.protect).__name__ == {FunctionType.__name__!r}, facemin.protect"
    assert "facemin.protection" in loaded(check)


def test_no_room_has_the_name_of_a_public_function() -> None:
    """Importing a room binds its name in the package, where it would hide what is lazily given under that name."""
    rooms = {path.name for path in Path(facemin.__file__).parent.iterdir() if path.is_dir()}
    assert not rooms & set(facemin.__all__)


def test_the_project_says_what_it_runs_on() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    for version in ("3.11", "3.12", "3.13"):
        assert f"Programming Language :: Python :: {version}" in project["classifiers"]
    changes = (REPOSITORY / "CHANGELOG.md").read_text().splitlines()
    newest = next(line for line in changes if line.startswith("## ") and line != "## Unreleased")
    assert newest == f"## {project['version']}"
    assert f"version: {project['version']}\n" in (REPOSITORY / "CITATION.cff").read_text()
    assert all(url.startswith("https://") for url in project["urls"].values())
    assert (REPOSITORY / "SECURITY.md").is_file()


def test_the_templates_lie_in_the_package() -> None:
    folder = Path(facemin.__file__).parent / "report" / "templates"
    assert {path.name for path in folder.iterdir()} >= {"page.html", "parts.html", "style.css"}

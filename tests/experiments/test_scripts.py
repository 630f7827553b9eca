"""Scripts of experiments/ and benchmarks/: each one starts and describes its command line."""

import runpy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

FOLDERS = [REPOSITORY / "experiments", REPOSITORY / "benchmarks"]
ELSEWHERE = {"chips.py", "detect.py", "encode.py"}
"""Of experiments/carrier: they run in environments of other packages, which have no facemin."""
SCRIPTS = [
    path
    for folder in FOLDERS
    for path in sorted(folder.rglob("*.py"))
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8") and path.name not in ELSEWHERE
]


@pytest.fixture
def own_modules() -> Iterator[None]:
    """Modules beside a script are forgotten after it, since those of several folders have one name."""
    path, known = sys.path.copy(), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - known:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and any(Path(file).is_relative_to(folder) for folder in FOLDERS):
            del sys.modules[name]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_script_describes_its_command_line(
    script: Path, own_modules: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sys.path.insert(0, str(script.parent))
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: {script.name}")
    assert script.read_text(encoding="utf-8").splitlines()[0].strip('"') in said

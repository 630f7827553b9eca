"""Scripts of experiments/ and benchmarks/: each one starts and describes its command line."""

import runpy
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.experiments.conftest import FOLDERS

ELSEWHERE = {"chips.py", "detect.py", "encode.py"}
"""Of experiments/carrier: they run in environments of other packages, which have no facemin."""
SCRIPTS = [
    path
    for folder in FOLDERS
    for path in sorted(folder.rglob("*.py"))
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8") and path.name not in ELSEWHERE
]


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

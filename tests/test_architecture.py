"""Imports run one way (design, "Layout"), and what must not be imported is not."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "facemin"

LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "files": set(),
    "home": set(),
    "device": set(),
    "frequency": set(),
    "masking": {"frequency"},
    "metrics": set(),
    "colour": set(),
    "exif": set(),
    "image": {"colour", "errors", "exif"},
    "face": {"image"},
    "models": {"errors", "image", "masking"},
    "attack": {"device", "face", "files", "frequency", "image", "keys", "masking", "metrics", "models"},
    "keys": {"errors", "files", "models"},
    "data": {"files", "image"},
    "protect": {"device", "errors", "face", "files", "frequency", "image", "keys", "masking", "models"},
    "calibration": {"models"},
    "defaults": {"calibration", "keys", "models"},
    "checkpoint": {"files", "models"},
    "report": set(),
    "store": {"calibration", "checkpoint", "errors", "files", "home", "models"},
}
"""What each part may import of ours; every other part sits on top, and nothing below imports it."""

FORBIDDEN = {"torchvision", "timm", "lpips", "piq", "facenet_pytorch", "onnx2torch", "tensorflow", "cv2", "mxnet"}
PARTS = sorted(path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file())


def modules(part: str) -> list[Path]:
    folder = PACKAGE / part
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{part}.py"]


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: expected absolute imports, got a relative one"
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def ours(names: set[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("facemin.") and name.split(".")[1] in PARTS}


@pytest.mark.parametrize("part", sorted(set(LAYERS) & set(PARTS)))
def test_imports_run_one_way(part: str) -> None:
    for path in modules(part):
        stray = ours(imports(path)) - LAYERS[part] - {part}
        assert not stray, f"{path.relative_to(PACKAGE)} imports {sorted(stray)}"


def test_nothing_below_imports_what_sits_on_top() -> None:
    top = set(PARTS) - set(LAYERS) - {"__init__"}
    below = [path for part in LAYERS if part in PARTS for path in modules(part)]
    assert not [(path, ours(imports(path)) & top) for path in below if ours(imports(path)) & top]


def test_only_the_command_line_imports_the_audit() -> None:
    others = [path for part in PARTS if part not in ("audit", "cli") for path in modules(part)]
    assert not [path for path in others if "audit" in ours(imports(path))]


def test_layers_themselves_run_one_way() -> None:
    def reach(part: str) -> set[str]:
        return LAYERS[part].union(*(reach(other) for other in LAYERS[part])) if LAYERS[part] else set()

    assert not [part for part in LAYERS if part in reach(part)]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_names_nothing_forbidden(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path)} & FORBIDDEN


def test_main_job_loads_nothing_forbidden() -> None:
    code = (
        "import sys, facemin, facemin.cli, facemin.cli.demo, facemin.protection.folder, facemin.evaluation.compare\n"
        "facemin.load_recogniser('dlib-resnet29')\n"
        f"print(sorted({FORBIDDEN!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""


def test_only_image_decodes_pictures() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path.name != "image.py":
            assert "Image.open" not in path.read_text(), path


def test_no_file_is_far_too_long() -> None:
    long = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert not {name: lines for name, lines in long.items() if lines > 370}

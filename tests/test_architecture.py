"""Imports run one way (docs/architecture.md), and what must not be imported is not."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "facemin"

LAYERS: dict[str, set[str]] = {
    "runtime": set(),
    "data": set(),
    "image": {"runtime"},
    "pseudonym": {"runtime"},
    "face": {"data", "image", "runtime"},
    "autograd": {"models", "runtime"},
    "models": {"autograd", "data", "pseudonym", "runtime", "train"},
    "keys": {"autograd", "models", "pseudonym", "runtime"},
    "metrics": set(),
    "datasets": {"image", "runtime"},
    "cloak": {"autograd", "face", "image", "metrics", "models", "protection", "runtime"},
    "protection": {"ahm", "cloak", "models", "autograd", "face", "image", "keys", "pseudonym", "runtime"},
    "evaluation": {
        *("autograd", "datasets", "face", "image", "keys", "metrics", "models", "protection", "pseudonym", "runtime"),
    },
    "train": {
        *("autograd", "datasets", "evaluation", "face", "image", "keys", "metrics", "models"),
        *("protection", "pseudonym", "runtime"),
    },
    "attack": {"autograd", "evaluation", "image", "keys", "metrics", "models", "runtime", "train"},
    "ahm": {"attack", "autograd", "evaluation", "image", "keys", "metrics", "protection", "runtime", "train"},
    "report": {"evaluation", "metrics"},
    "client": {"autograd", "face", "image", "keys", "models", "protection", "pseudonym", "runtime"},
    "service": {"autograd", "face", "image", "keys", "metrics", "models", "protection", "pseudonym", "runtime"},
}
"""What each room may import of ours; the other rooms (experiments, audit, cli) sit on top, and nothing imports them."""

FORBIDDEN = {"torchvision", "timm", "lpips", "piq", "facenet_pytorch", "onnx2torch", "tensorflow", "cv2", "mxnet"}
PARTS = sorted(path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file())


PAGE = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")


def modules(part: str) -> list[Path]:
    folder = PACKAGE / part
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{part}.py"]


@cache
def imports(path: Path) -> frozenset[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: expected absolute imports, got a relative one"
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def ours(names: Iterable[str]) -> set[str]:
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


@pytest.mark.parametrize("part", PARTS)
def test_names_nothing_forbidden(part: str) -> None:
    named = {path: {name.split(".")[0] for name in imports(path)} & FORBIDDEN for path in modules(part)}
    assert not {path: names for path, names in named.items() if names}


def test_every_module_is_of_a_part() -> None:
    assert sorted(path for part in PARTS for path in modules(part)) == sorted(PACKAGE.rglob("*.py"))


def test_main_job_loads_nothing_forbidden() -> None:
    code = (
        "import sys, facemin, facemin.cli, facemin.cli.demo.run\n"
        "import facemin.protection.folder.run, facemin.evaluation.compare\n"
        "facemin.load_recogniser('dlib-resnet29')\n"
        f"print(sorted({FORBIDDEN!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""


def test_everyday_rooms_need_no_torch() -> None:
    """Decode, detect, align, paste and encode in a process where torch cannot be imported."""
    code = """
import sys
sys.modules["torch"] = None
import facemin, facemin.runtime.files, facemin.runtime.home, facemin.runtime.lazy
from facemin.face import Detector, align, crop, faces_in, paste
from facemin.image import decode, encode, walk
from importlib.util import find_spec
from pathlib import Path
file = Path(find_spec("skimage").submodule_search_locations[0]) / "data" / "astronaut.png"
photo, detector = decode(file), Detector(threads=1)
found = faces_in(photo.pixels, detector)
faces = align(photo.pixels, found.points)
assert (crop(file, detector) == faces[0]).all()
assert decode(encode(paste(photo.pixels, faces, found.points))).pixels.shape == photo.pixels.shape
assert len(walk(file.parent).photos) > 1
print(faces.shape)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("(1, 112, 112, 3)\n", "")


def test_keys_and_recognisers_need_no_torch() -> None:
    """A key is made, read and run, and a stranger's graph refused, where torch cannot be imported."""
    code = """
import sys
sys.modules["torch"] = None
import numpy as np
import facemin
from facemin.keys.default import DEFAULT_SPACE, default_key
from facemin.models import load_graph
from facemin.client.client import Client
from facemin.face import Detector
from facemin.models.onnx.run import FaceRunner
from facemin.models.store import open_graph
from facemin.protection.one_pass.painter import OnePass, Painter
from facemin.protection.one_pass.shipped import shipped_protector
from facemin.service.recognition.embed import WHOLE, Embedder
key = facemin.Key.load(default_key().data)
faces = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
assert key.space.id.hex() == DEFAULT_SPACE
assert key.space.embed(FaceRunner(key.graph), faces).shape == (2, 66)
painter = Painter(shipped_protector("dlib-resnet29-space66"), FaceRunner(key.graph), OnePass(residual=1.9))
target = key.space.embed(FaceRunner(key.graph), faces)[:1].astype(np.float32)
assert painter(target, [1])[0].pixels.shape == (112, 112, 3)
recogniser = open_graph("dlib-resnet29")
embedder = Embedder(recogniser, ["pooled"])
planes = faces.transpose(0, 3, 1, 2).astype(np.float32) / 255
assert np.allclose(embedder([(WHOLE, face) for face in planes]), recogniser.embed(faces), atol=1e-5)
embedder.close()
broken = bytearray(key.data)
broken[-2000] ^= 1
for data in (bytes(broken), b"no key"):
    try:
        facemin.Key.load(data)
    except facemin.InvalidKey:
        continue
    raise AssertionError("expected a refusal")
try:
    key.shallow
except ImportError:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("refused\n", "")


LAZILY = {"models/store.py", "models/__init__.py", "keys/key.py"}
"""Their workshop's half is imported by what needs it: adding a checkpoint, `load_recogniser`, and `Key.shallow`."""


@pytest.mark.parametrize("part", ["image", "face", "models", "keys", "pseudonym"])
def test_everyday_rooms_import_no_workshop_when_they_are_imported(part: str) -> None:
    for path in modules(part):
        at_once = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
        names = imports(path) if str(path.relative_to(PACKAGE)) not in LAZILY else {_module(node) for node in at_once}
        assert not {name.split(".")[0] for name in names} & {"torch"}, path
        assert not ours(names) & {"autograd", "train"}, path


def _module(node: ast.Import | ast.ImportFrom) -> str:
    return node.names[0].name if isinstance(node, ast.Import) else node.module or ""


@pytest.mark.parametrize("part", ["image", "face"])
def test_everyday_rooms_name_no_torch(part: str) -> None:
    for path in modules(part):
        assert "torch" not in {name.split(".")[0] for name in imports(path)}, path


def test_only_image_decodes_pictures() -> None:
    for path in PACKAGE.rglob("*.py"):
        if path.parent != PACKAGE / "image":
            assert "Image.open" not in path.read_text(), path


ON_TOP = "protection/registry.py"
"""Names what other rooms make: it sits above them, and everyday code imports it only where torch is there."""


def test_no_circle() -> None:
    """Of what is imported when a room is, no room leads back to itself."""
    left = {part: set[str]() for part in PARTS if part != "__init__"}
    for part in left:
        for path in modules(part):
            if str(path.relative_to(PACKAGE)) == ON_TOP:
                continue
            eager = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
            left[part] |= ours({_module(node) for node in eager}) - {part}
    while left:
        ready = [part for part, needs in left.items() if not needs & set(left)]
        assert ready, f"a circle among { ({part: sorted(needs & set(left)) for part, needs in left.items()}) }"
        left = {part: needs for part, needs in left.items() if part not in ready}


MOST_FILES = 12
"""In one folder; a room with more has rooms of its own."""


def test_no_room_is_crowded() -> None:
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    counts = {folder: len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) for folder in folders}
    crowded = {str(folder.relative_to(PACKAGE)): count for folder, count in counts.items() if count > MOST_FILES}
    assert not crowded


def test_no_file_is_far_too_long() -> None:
    long = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert not {name: lines for name, lines in long.items() if lines > 350}


def rooms_of_the_page() -> dict[str, set[str]]:
    """From each room of the page's tree to the folders that it names within."""
    found, room = dict[str, set[str]](), ""
    for line in PAGE.split("```")[1].splitlines()[2:]:
        if begun := re.match(r"  ([a-z_/]+)/ ", line):
            room = begun[1]
            found[room] = set()
        found[room] |= set(re.findall(r"([a-z_]+)/", line[begun.end() if begun else 0 :]))
    return found


def test_the_page_names_every_room() -> None:
    named = rooms_of_the_page()
    folders = {path.parent.relative_to(PACKAGE) for path in PACKAGE.rglob("__init__.py")} - {Path()}
    missing = {
        str(each) for each in folders if str(each) not in named and each.name not in named.get(each.parts[0], set())
    }
    assert not missing


def test_the_page_names_nothing_that_is_not_there() -> None:
    top = {path.name for path in PACKAGE.parent.iterdir()}
    for room, within in rooms_of_the_page().items():
        assert (PACKAGE / room).is_dir(), room
        assert not within - {path.name for path in (PACKAGE / room).rglob("*")} - top, room
    places = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:/|\.py|\.md))`", PAGE))
    assert len(places) > 30
    folders = [PACKAGE, *(PACKAGE.parent / name for name in ("docs", "experiments", "spec", "tests"))]
    there = [f"/{path.relative_to(PACKAGE.parent)}" for folder in folders for path in [folder, *folder.rglob("[!_.]*")]]
    assert not {place for place in places if not any(path.endswith(f"/{place.rstrip('/')}") for path in there)}


def test_putting_masks_on_and_off_needs_no_torch() -> None:
    rooms = "facemin.cloak.folder, facemin.cloak.lay, facemin.cloak.mask_file, facemin.cli.person.cloak"
    code = f"import sys\nsys.modules['torch'] = None\nimport {rooms}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_pseudonyms_need_no_torch() -> None:
    code = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "import facemin.pseudonym\n"
        "secret = facemin.pseudonym.Secret.new()\n"
        "context = dict(origin='https://a.example', space=bytes(32), dimension=8, purpose='main')\n"
        "made = facemin.pseudonym.Pseudonym(secret=secret, context=facemin.pseudonym.Context(**context))\n"
        "print(made.targets([[1.0] * 8]).shape)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("(1, 8)", "")

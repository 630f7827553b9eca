"""model add, list, show, cuts and remove, as a person runs them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from facemin.cli import app
from facemin.cli.options import WRONG_INPUT
from facemin.models import load_recogniser
from facemin.models.preprocess import Preprocess
from tests.cli.conftest import Run
from tests.test_store import SIZE, tiny_graph


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


Call = Callable[..., Done]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """The command within this process: a process of its own costs seconds of imports, so few tests take one."""

    def run(*arguments: object) -> Done:
        capsys.readouterr()
        try:
            status, error = app([*map(str, arguments)], result_action="return_value"), ""
        except (ValueError, OSError) as refusal:
            status, error = WRONG_INPUT, str(refusal)
        out, err = capsys.readouterr()
        return Done(status, out, err + error)

    return run


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACEMIN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "Tiny.onnx"
    path.write_bytes(tiny_graph())
    return path


def test_a_models_life(call: Call, file: Path, home: Path) -> None:
    flags = ("--scale", 255, "--mean", 127.5, 127.5, 127.5, "--std", 128, 128, 128, "--channels", "BGR")
    added = call("model", "add", file, "--licence", "MIT", "--source", "a friend", *flags, "--json")
    assert (added.returncode, added.stderr) == (0, "")
    entry = json.loads(added.stdout)
    assert (entry["name"], entry["licence"], entry["source"]) == ("tiny", "MIT", "a friend")
    assert (entry["embedding_size"], entry["calibration"]) == (SIZE, None)
    assert entry["preprocess"]["mean"] == [127.5] * 3
    listed = json.loads(call("model", "list", "--json").stdout)
    assert [(one["name"], one["default"]) for one in listed] == [("dlib-resnet29", True), ("tiny", False)]
    shown = json.loads(call("model", "show", "tiny", "--json").stdout)
    wanted = Preprocess(scale=255, mean=(127.5,) * 3, std=(128.0,) * 3, channels="BGR")
    assert shown == entry | {"fingerprint": load_recogniser(file, preprocess=wanted).fingerprint}
    text = call("model", "show", "tiny").stdout
    assert "licence         MIT\n" in text
    assert "not measured: facemin eval" in text
    taken = call("model", "add", file, "--licence", "MIT")
    assert taken.returncode == 2
    assert "--force" in taken.stderr
    assert call("model", "add", file, "--licence", "BSD", "--force").returncode == 0
    assert call("model", "remove", "tiny").returncode == 0
    assert list((home / "models").iterdir()) == []
    assert call("model", "show", "tiny").returncode == 2


def test_what_is_refused_leaves_nothing(call: Call, file: Path, home: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.pt").write_bytes(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.")
    for arguments, words in (
        (("add", file, "--licence", "MIT", "--name", "A"), "name: expected"),
        (("add", file, "--licence", "MIT", "--size", 96, 112), "expected a graph that takes (3, 96, 112)"),
        (("add", file, "--licence", "MIT", "--std", 0, 1, 1), "std not 0"),
        (("add", tmp_path / "bad.pt", "--licence", "MIT"), "expected a family"),
        (("add", tmp_path / "missing.onnx", "--licence", "MIT"), "missing.onnx"),
        (("cuts", "nobody"), "model: expected one of dlib-resnet29, or an .onnx file; got 'nobody'"),
        (("remove", "../home"), "expected a stored one"),
    ):
        done = call("model", *arguments)
        assert done.returncode == 2
        assert words in done.stderr
        assert done.stdout == ""
    assert not home.exists()


def test_cuts_of_a_file_and_of_a_name(facemin: Run, call: Call, file: Path) -> None:
    rows = json.loads(facemin("model", "cuts", file, "--scale", 1, "--json").stdout)
    assert [(row["name"], row["shape"], row["parameters"]) for row in rows] == [
        ("pooled", [3, 4, 4], 0),
        ("flat", [48], 0),
        ("embedding", [SIZE], 48 * SIZE),
    ]
    assert [row["share"] for row in rows] == [0, 0, 1]
    lines = call("model", "cuts", "dlib-resnet29").stdout.splitlines()
    cuts = load_recogniser("dlib-resnet29").cuts
    assert len(lines) == 1 + len(cuts)
    assert lines[0].split() == ["cut", "shape", "parameters", "computation"]
    assert lines[-1].split()[0] == cuts[-1].name
    assert lines[-1].split()[-2:] == [f"{cuts[-1].parameters:,}", "100.0%"]


def test_a_stored_model_makes_keys_and_verifies(call: Call, file: Path, photos: Path, tmp_path: Path) -> None:
    call("model", "add", file, "--licence", "MIT")
    out = tmp_path / "tiny.key.onnx"
    made = call(
        "key", "export", out, "--provider", "me", "--model", "tiny", "--cut", "flat", "--residual", 0.1, "--json"
    )
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["recogniser"] == "tiny"
    same = call("verify", photos / "one.png", photos / "one.png", "--model", "tiny", "--threshold", 0.9, "--json")
    assert same.returncode == 0, same.stderr
    torch.testing.assert_close(json.loads(same.stdout)["cosine"], 1.0, atol=1e-5, rtol=0)

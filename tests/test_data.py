"""Files of others that come with facemin: where they are found, and that their terms are told."""

import ast
from pathlib import Path

import pytest

from facemin import data
from facemin.cli import run
from tests.conftest import REPOSITORY

DAT = "dlib_face_recognition_resnet_model_v1.dat"


def targets() -> set[str]:
    tree = ast.parse((REPOSITORY / "hatch_build.py").read_text())
    return {
        str(node.value.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "target" and isinstance(node.value, ast.Constant)
    }


def test_own_file_comes_before_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "FOLDER", tmp_path)
    assert data.data_file("py.typed", package="no_such_package", path="py.typed") is None
    assert data.data_file("py.typed", package="facemin", path="py.typed") == REPOSITORY / "facemin" / "py.typed"
    (tmp_path / "py.typed").touch()
    assert data.data_file("py.typed", package="facemin", path="py.typed") == tmp_path / "py.typed"


def test_licences_name_every_file_that_the_build_makes(capsys: pytest.CaptureFixture[str]) -> None:
    assert targets() == {DAT, "centerface.onnx", "astronaut.jpg", "grace_hopper.jpg"}
    assert run(["licences"]) == 0
    told = capsys.readouterr().out
    for name in (*targets(), "Apache License 2.0", "CC0 1.0", "MIT License\n", "Public domain"):
        assert name in told


def test_no_file_of_others_is_committed() -> None:
    ignored = (REPOSITORY / ".gitignore").read_text()
    for name in targets():
        assert f"/facemin/data/*{Path(name).suffix}" in ignored

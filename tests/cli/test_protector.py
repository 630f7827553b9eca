"""`key fit-protector`: the file it writes, resumption, and keys it refuses."""

import json
from pathlib import Path

import pytest

from facemin.cli import app
from facemin.keys.key import export_key
from facemin.models import Recogniser
from facemin.protection.one_pass.protector_file import ProtectorFile
from tests.train.one_pass.conftest import DIMENSIONS, graph


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.key.onnx"
    export_key(Recogniser(graph(), name="tiny"), "embedding", provider="test", residual=0.5).save(path)
    return path


def fit(key: Path, out: Path, *options: str) -> int:
    line = ["key", "fit-protector", str(key), "--out", str(out), "--size", "small", "--batch", "4", "--device", "cpu"]
    status = app([*line, *options], result_action="return_value")
    assert isinstance(status, int)
    return status


def test_fit_protector_writes_a_file_and_goes_on_where_it_was(
    key: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "protector.onnx"
    assert fit(key, out, "--steps", "1", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    file = ProtectorFile.load(out)
    assert (file.manifest.target, file.manifest.recipe["done"]) == (DIMENSIONS, 1)
    assert record["protector_sha256"] == file.fingerprint
    assert record["settings"]["batch"] == 4
    assert (tmp_path / "protector.onnx.run" / "record.json").is_file()
    assert fit(key, out, "--steps", "2") == 0
    said = capsys.readouterr().err
    assert "2 steps in" in said
    assert "cosine to the target: none" in said
    assert ProtectorFile.load(out).manifest.recipe["done"] == 2


def test_fit_protector_refuses_a_key_that_ends_in_no_vector(tmp_path: Path) -> None:
    recogniser = Recogniser(graph(), name="tiny")
    cut = next(cut.name for cut in recogniser.cuts if len(cut.shape) == 3)
    export_key(recogniser, cut, provider="test", residual=0.5).save(tmp_path / "k.onnx")
    with pytest.raises(ValueError, match="expected a graph that ends in a vector, got an output of shape"):
        fit(tmp_path / "k.onnx", tmp_path / "p.onnx", "--steps", "1")
    assert not (tmp_path / "p.onnx").exists()

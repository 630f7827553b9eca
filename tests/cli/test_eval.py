"""eval, end to end: a folder, a .bin, the store's thresholds, the plot."""

import json
import pickle
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from tests.cli.conftest import Call
from tests.pictures import decode_tensor


def test_a_folder_and_the_stores_thresholds(call: Call, file: Path, faces: Path) -> None:
    call("model", "add", file, "--licence", "MIT")
    done = call("eval", faces, "--model", "tiny", "--json")
    assert done.returncode == 0, done.stderr
    assert "24 images in " in done.stderr
    assert "images/s" in done.stderr
    report = json.loads(done.stdout)
    assert list(report) == ["accuracy", "eer", "tar", "thresholds", "n"]
    assert report["n"] == {"pairs": 48, "genuine": 24, "impostor": 24, "images": 24, "people": 8, "no_face": 0}
    cross = report["thresholds"]["cross_identity"]["1e-2"]
    assert (cross["n_impostor"], cross["meaningful"]) == (24 * 21 // 2, True)
    saved = json.loads(call("model", "show", "tiny", "--json").stdout)["calibration"]
    assert [one["far"] for one in saved["thresholds"]] == [0.1, 0.01]
    assert saved["thresholds"][1]["threshold"] == cross["threshold"]
    assert saved["fingerprint"] == report["thresholds"]["fingerprint"]
    assert saved["command"] == f"facemin eval {faces.name} --seed 0 --model tiny"
    flipped = json.loads(call("eval", faces, "--model", "tiny", "--flip", "--seed", 5, "--json").stdout)
    assert flipped["thresholds"]["flip"] is True
    assert call("eval", faces, "--model", "tiny", "--seed", 5, "--no-save").returncode == 0
    assert json.loads(call("model", "show", "tiny", "--json").stdout)["calibration"] == saved


def test_a_file_as_model_on_a_bin(call: Call, file: Path, faces: Path, tmp_path: Path) -> None:
    photos = sorted(faces.rglob("*.png"))
    images = [path.read_bytes() for at in range(0, 24, 3) for path in (photos[at], photos[at + 1])]
    images += [path.read_bytes() for at in range(8) for path in (photos[3 * at], photos[(3 * at + 3) % 24])]
    path = tmp_path / "mine.bin"
    path.write_bytes(pickle.dumps((images, [True] * 8 + [False] * 8), 4))
    done = call("eval", path, "--model", file, "--scale", 1)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "Tiny on mine.bin, aligned as packed"
    assert lines[1] == "16 pairs (8 genuine) of 16 images"
    assert "too few impostor pairs to say" in done.stdout
    assert "all pairs of different people" not in done.stdout


def test_wrong_input_is_named(call: Call, file: Path, faces: Path, tmp_path: Path) -> None:
    (tmp_path / "hostile.bin").write_bytes(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.")
    for arguments, words in (
        ((faces, "--model", file, "--save"), "--save: expected a stored model"),
        ((tmp_path / "hostile.bin", "--model", file), "hostile.bin"),
        ((tmp_path / "missing", "--model", file), "missing"),
        ((faces, "--model", file, "--plot", tmp_path / "plot.jpg"), "--plot: expected"),
        ((faces, "--model", "dlib-resnet29", "--scale", 1), "has its own"),
        ((faces, "--model", file, "--batch", 0), "at least 1"),
    ):
        done = call("eval", *arguments)
        assert done.returncode == 2, arguments
        assert words in done.stderr
        assert done.stdout == ""


def test_plot_writes_a_picture(call: Call, file: Path, faces: Path, tmp_path: Path) -> None:
    plot = tmp_path / "plot.png"
    done = call("eval", faces, "--model", file, "--plot", plot)
    if find_spec("matplotlib") is None:
        assert done.returncode == 2
        assert "pip install 'facemin[bench]'" in done.stderr
        assert not plot.exists()
        pytest.skip("needs matplotlib (extra 'bench') to draw")
    assert done.returncode == 0, done.stderr
    pixels = decode_tensor(plot)
    assert pixels.shape[1:] == (504, 1200)
    assert torch.unique(pixels.flatten(1), dim=1).shape[1] > 50

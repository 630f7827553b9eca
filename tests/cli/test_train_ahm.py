"""train ahm, as a person runs it."""

import json
from pathlib import Path

import pytest

from facemin.cli.shared.options import WRONG_INPUT
from tests.cli.conftest import Call
from tests.train.conftest import write_people

CONFIG = """
epochs = 1
batch = 8
[data]
kind = "folder"
root = "people"
aligned = true
held_out = 2
[mask]
every = 4
kept = 3
[network]
embedding_size = 8
widths = [4, 8]
[head]
kind = "cosface"
[optimiser]
rate = 0.05
[schedule]
kind = "cosine"
[evaluate]
pairs = 20
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_people(tmp_path / "people", 8, 6)
    path = tmp_path / "ahm.toml"
    path.write_text(CONFIG)
    return path


def test_trains_and_says_what_came_of_it(config: Path, call: Call) -> None:
    out = config.parent / "out"
    done = call("train", "ahm", config, "--out", out, "--device", "cpu")
    assert done.returncode == 0
    assert "queries masked: accuracy" in done.stderr
    assert sorted(path.name for path in out.iterdir()) == [
        "checkpoint.pt",
        "log.jsonl",
        "mask.safetensors",
        "recogniser.safetensors",
        "record.json",
    ]
    again = call("train", "ahm", config, "--out", out, "--device", "cpu", "--resume", "--json")
    assert json.loads(again.stdout)["queries"] == json.loads((out / "record.json").read_text())["queries"]


def test_wrong_input_is_said_in_one_line(config: Path, call: Call) -> None:
    config.write_text(CONFIG + '[mixing]\nkind = "fixed"\n')
    done = call("train", "ahm", config)
    assert done.returncode == WRONG_INPUT
    assert done.stdout == ""
    assert done.stderr.startswith("facemin: ")
    assert "ahm.toml: mixing: expected a count" in done.stderr

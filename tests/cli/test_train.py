"""train recogniser, as a person runs and interrupts it: in processes of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from facemin.cli import app
from facemin.cli.shared.options import WRONG_INPUT
from tests.cli.conftest import Call
from tests.conftest import PATIENCE
from tests.train.conftest import write_people

CONFIG = """
seed = 3
epochs = {epochs}
batch = 8
log_every = 1
checkpoint_every = 5
[data]
kind = "folder"
root = "people"
aligned = true
held_out = 2
workers = {workers}
[model]
family = "{family}"
embedding_size = 16
width = 0.0625
[head]
kind = "cosface"
scale = 16
[optimiser]
rate = 0.05
[schedule]
kind = "step"
milestones = [1]
[evaluate]
pairs = 20
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_people(tmp_path / "people", 8, 6)
    return tmp_path


def written(folder: Path, *, epochs: int = 8, workers: int = 0, family: str = "mobilefacenet") -> Path:
    path = folder / f"{family}-{workers}.toml"
    path.write_text(CONFIG.format(epochs=epochs, workers=workers, family=family))
    return path


def start(*arguments: object, program: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """The command with as many threads as this process, as different numbers of them round differently."""
    command = [sys.executable, "-W", "error", *(program or ("-m", "facemin")), "train", "recogniser"]
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )


def losses(out: Path) -> Iterator[tuple[int, float]]:
    path = out / "log.jsonl"
    text = path.read_text() if path.is_file() else ""
    for line in text.splitlines(keepends=True):
        if line.endswith("\n") and "loss" in (values := json.loads(line)):
            yield values["step"], values["loss"]


def wait_for(process: subprocess.Popen[str], out: Path, step: int) -> None:
    while not any(logged >= step for logged, _ in losses(out)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


@pytest.mark.long
def test_interrupted_and_killed_it_ends_on_the_same_weights(call: Call, folder: Path) -> None:
    """The reference reads its faces itself; those that are ended by workers, which must not matter."""
    whole, parts = folder / "whole", folder / "parts"
    assert app(["train", "recogniser", str(written(folder)), "--out", str(whole)], result_action="return_value") == 0
    config = written(folder, workers=2)

    interrupted = start(config, "--out", parts, "--resume")
    wait_for(interrupted, parts, 3)
    # the whole group, as a terminal's Ctrl-C
    os.killpg(interrupted.pid, signal.SIGINT)
    out, err = interrupted.communicate(timeout=PATIENCE)
    assert (interrupted.returncode, out) == (130, "")
    assert "Stopped after step" in err
    assert "Traceback" not in err
    stopped = max(step for step, _ in losses(parts))

    killed = start(config, "--out", parts, "--resume")
    # of 32 steps, some of which it may have taken before the signal came
    wait_for(killed, parts, min(stopped + 7, 28))
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate(timeout=PATIENCE)
    assert killed.returncode == -signal.SIGKILL

    resumed = call("train", "recogniser", written(folder), "--out", parts, "--resume", "--json")
    assert resumed.returncode == 0, resumed.stderr
    assert json.loads(resumed.stdout)["run"]["steps"] == 32
    assert (parts / "recogniser.onnx").read_bytes() == (whole / "recogniser.onnx").read_bytes()
    assert list(losses(parts)) == list(losses(whole))


@pytest.mark.long
def test_torchrun_computes_what_one_process_does(folder: Path) -> None:
    """On a network without batch normalisation, whose statistics are each device's own."""
    config = written(folder, epochs=1, family="sphereface20")
    one, two = folder / "one", folder / "two"
    assert app(["train", "recogniser", str(config), "--out", str(one)], result_action="return_value") == 0
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "facemin")
    process = start(config, "--out", two, "--device", "cpu", program=torchrun)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert err.count("step 0: accuracy") == 1
    assert json.loads((two / "record.json").read_text())["run"]["devices"] == 2
    assert [step for step, _ in losses(two)] == [step for step, _ in losses(one)] == [1, 2, 3, 4]
    first, second = (torch.load(out / "checkpoint.pt", weights_only=True)["weights"] for out in (one, two))
    for name, weight in first.items():
        torch.testing.assert_close(second[name], weight, rtol=1e-4, atol=1e-5, msg=name)


def test_wrong_input_is_said_in_one_line(call: Call, folder: Path) -> None:
    done = call("train", "recogniser", written(folder, epochs=0))
    assert done.returncode == WRONG_INPUT
    assert done.stdout == ""
    assert done.stderr.startswith("facemin: ")
    assert "mobilefacenet-0.toml: epochs: " in done.stderr
    assert "Traceback" not in done.stderr


def test_data_and_out_have_defaults_that_flags_replace(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = written(folder, epochs=1)
    (folder / "people").rename(folder / "moved")
    monkeypatch.chdir(folder)
    with pytest.raises(ValueError, match="people: expected a folder"):
        app(["train", "recogniser", str(config)], result_action="return_value")
    arguments = ["train", "recogniser", str(config), "--data", "moved"]
    assert app(arguments, result_action="return_value") == 0
    assert (folder / "runs" / config.stem / "recogniser.onnx").is_file()
    said = capsys.readouterr()
    assert "4 steps in" in said.err
    assert said.out == ""

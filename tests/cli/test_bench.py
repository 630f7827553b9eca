"""bench, end to end: run, go on, report."""

import json
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from facemin.experiments import read_records
from tests.cli.conftest import GUARD, Call
from tests.conftest import PATIENCE
from tests.experiments.conftest import TOML, distance_graph, world

__all__ = ["distance_graph", "world"]


def test_run_and_report(call: Call, world: Path, tmp_path: Path) -> None:
    done = call("bench", "run", world / "small.toml", "--quick", "--models", world / "models", "--pictures", 2)
    assert done.returncode == 0, done.stderr
    # relative to where it was called, named after the file's folder
    file = Path("results") / world.name / "small.quick.jsonl"
    assert done.stdout == f"{file}: 2 cells measured, 0 passed over\n"
    assert done.stderr.splitlines() == ["Reading faces", "Measuring thresholds", "Measuring"]
    assert len(list((tmp_path / file).parent.glob("pictures/*.png"))) == 2
    again = call("bench", "run", world / "small.toml", "--quick", "--models", world / "models", "--json")
    assert json.loads(again.stdout) == {"file": str(file), "measured": [], "passed_over": ["one", "both"]}
    shown = call("bench", "report")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout == "results/report.html: 1 experiments\n"
    page = (tmp_path / "results" / "report.html").read_text(encoding="utf-8")
    assert "A small matrix - faces (quick)" in page
    pictures = call("bench", "report", file.parent, "--pictures", "--out", "p.html", "--json")
    assert json.loads(pictures.stdout) == {
        "file": "p.html",
        "experiments": ["small on faces"],
        "passed_over": [],
        "empty": [],
        "changed": [],
    }
    assert "data:image/png" in (tmp_path / "p.html").read_text(encoding="utf-8")


def test_ctrl_c_keeps_what_is_measured(world: Path, tmp_path: Path) -> None:
    file = tmp_path / "long.toml"
    file.write_text(TOML.replace('set = "faces"', f'set = "{world / "faces"}"').replace("steps = 8", "steps = 1000000"))
    options = ["--models", str(world / "models"), "--out", "out"]
    child = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", GUARD, "bench", "run", str(file), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        # a suite that was started in the background ignores Ctrl-C, and so would its children
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),
    )
    try:
        records = tmp_path / "out" / "long.jsonl"
        ends = time.monotonic() + PATIENCE
        while not records.is_file() or not records.read_bytes().endswith(b"\n"):
            assert child.poll() is None, child.communicate()[1]
            assert time.monotonic() < ends
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        said = child.communicate(timeout=PATIENCE)
    finally:
        child.kill()
    assert child.returncode == 130, said
    assert said[0] == ""
    assert "stopped; what is measured stays" in said[1]
    assert "Traceback" not in said[1]
    assert [record.cell for record in read_records(records)] == ["one"]


def test_other_data_than_the_files(call: Call, world: Path, tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.txt"
    rows = [f"person {a:02}/0.png\tperson {a:02}/{k}.png\t1" for a in range(16) for k in (1, 2)]
    rows += [f"person {a:02}/0.png\tperson {(a + k) % 16:02}/3.png\t0" for a in range(16) for k in (3, 5)]
    pairs.write_text("\n".join(rows))
    done = call(
        *("bench", "run", world / "small.toml", "--quick", "--data", world / "faces", "--pairs", pairs),
        *("--models", world / "models", "--out", "here"),
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "here" / "small.quick.jsonl").read_text().splitlines()[0])
    assert record["data"]["source"].startswith("faces, pairs of pairs.txt; aligned by ")


def test_wrong_input_is_named(call: Call, world: Path, tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(TOML.replace("genuine = 6", 'genuine = "six"'))
    cases = [
        (("run", file), "wrong.toml: data.genuine: Input should be a valid integer, got 'six'"),
        (("run", world / "small.toml", "--pairs", file), "--pairs, --landmarks: expected --data that they belong to"),
        (
            ("run", world / "small.toml"),
            "model 'one': expected one of dlib-resnet29, dlib-resnet29-space66, or a folder of ONNX files",
        ),
    ]
    for arguments, message in cases:
        done = call("bench", *arguments)
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stdout == ""
    assert not (tmp_path / "results").exists()

"""A folder job on a Ray cluster of this machine; skipped where the extra `ray` is not installed, as in CI."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facemin.image import encode
from facemin.keys.trust import TrustLog
from facemin.protection import Compute, OnePassProtector
from facemin.protection.folder.job import FolderJob
from facemin.protection.folder.run import plan, protect_into
from facemin.protection.one_pass.protector_file import ProtectorFile
from facemin.pseudonym import SecretStore
from facemin.runtime.files import write_atomically
from tests.conftest import PATIENCE
from tests.protection.folder.test_workers import photos, same_contents
from tests.space_keys import protector_for, space_key

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'facemin[ray]'")

RUN = """
import json, os, signal, sys
from pathlib import Path
from facemin.keys.key import Key
from facemin.protection import Compute, Failure, OnePassProtector
from facemin.protection.folder.run import plan
from facemin.protection.folder.job import FolderJob
from facemin.protection.folder.on_ray import protect_on_ray
from facemin.protection.one_pass.protector_file import ProtectorFile

folder, kills = Path(sys.argv[1]), json.loads(sys.argv[2])
method = OnePassProtector(files=(ProtectorFile.load(folder / "acme.protector.onnx"),), fallback=False, tries=1)
job = FolderJob(
    out=folder / "out", keys=[Key.load(folder / "acme.key.onnx")], method=method, aligned=True,
    secret="default", seed=5,
    compute=Compute(batch=3),
)

def actors():
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                if b"MapWorker" in (process / "cmdline").read_bytes():
                    found.append(int(process.name))
            except OSError:
                pass
    return found

before = set(actors())
results = []
for result in protect_on_ray(plan([folder / "in"], job), job, address="local", workers=2):
    results.append(result.name if isinstance(result, Failure) else str(result.source))
    if len(results) in kills:
        victims = sorted(set(actors()) - before)
        os.kill(victims[0], signal.SIGKILL)
        print("killed", flush=True)
print(json.dumps(results))
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    key = space_key()
    key.save(tmp_path / "acme.key.onnx")
    protector_for(key).save(tmp_path / "acme.protector.onnx")
    TrustLog().trust(key.manifest.sha256, name="tiny-space", reason="a test's")
    SecretStore().load_or_make("default")
    photos(tmp_path / "in", 40)
    photos(tmp_path / "in" / "other", 2, who=2)
    method = OnePassProtector(files=(ProtectorFile.load(tmp_path / "acme.protector.onnx"),), fallback=False, tries=1)
    return {
        "keys": [key],
        "method": method,
        "aligned": True,
        "secret": "default",
        "seed": 5,
        "compute": Compute(batch=3),
    }


def on_ray(folder: Path, *, kills: list[int]) -> tuple[list[str], int]:
    """Results, and how many actors were killed; in a process of its own, since Ray opens connections."""
    command = [sys.executable, "-c", RUN, str(folder), json.dumps(kills)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=2 * PATIENCE)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    return json.loads(lines[-1]), lines.count("killed")


@needs_ray
def test_killed_actors_lose_nothing_and_double_nothing(job: dict[str, Any], tmp_path: Path) -> None:
    results, killed = on_ray(tmp_path, kills=[6, 15, 24])
    assert killed == 3
    assert sorted(results) == sorted(str(path) for path in (tmp_path / "in").rglob("*.png"))
    alone = FolderJob(**job | {"out": tmp_path / "alone"})
    list(protect_into(plan([tmp_path / "in"], alone), alone))
    assert same_contents(tmp_path / "out", tmp_path / "alone")
    assert len(plan([tmp_path / "in"], FolderJob(**job | {"out": tmp_path / "out"})).done) == 40


@needs_ray
def test_a_killed_driver_leaves_a_rerun_to_finish(job: dict[str, Any], tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN, str(tmp_path), "[]"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def records() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.protected.json")}

    until = time.monotonic() + PATIENCE
    while len(records()) < 5 and time.monotonic() < until and child.poll() is None:
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    # Ray ends a dead driver's actors by and by
    before, after = records(), None
    while before != after:
        before = records()
        time.sleep(3)
        after = records()
    results, _ = on_ray(tmp_path, kills=[])
    assert len(results) == 42 - len(before)
    assert {name: stamp for name, stamp in records().items() if name in before} == before
    assert len(records()) == 40


def test_without_ray_it_is_said_what_to_install(job: dict[str, Any], tmp_path: Path) -> None:
    write_atomically(tmp_path / "me" / "me.png", encode(np.zeros((112, 112, 3), np.uint8)))
    code = "import sys; sys.modules['ray'] = None\nfrom facemin.cli import run\nsys.exit(run(sys.argv[1:]))"
    key, protector = str(tmp_path / "acme.key.onnx"), str(tmp_path / "acme.protector.onnx")
    command = ["protect", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--aligned", "--ray", "local"]
    done = subprocess.run(
        [sys.executable, "-c", code, *command, "--key", key, "--protector", protector],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "pip install 'facemin[ray]'" in done.stderr
    assert not (tmp_path / "out").exists()

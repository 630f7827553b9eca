"""A folder job by several processes: what one process makes, whoever dies on the way."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from multiprocessing import active_children, get_context, util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from facemin.cli.shared.options import INTERRUPTED
from facemin.image import encode
from facemin.keys.key import Key
from facemin.keys.trust import TrustLog
from facemin.protection import PMT, Compute, Failure, OnePassProtector, RevealingWarning
from facemin.protection.folder.job import FolderJob
from facemin.protection.folder.run import FolderResult, Plan, plan, protect_into
from facemin.protection.folder.workers import DEATHS, STARTS, _Hand, _Pool, protect_by_workers
from facemin.runtime import files
from facemin.runtime.files import write_atomically
from tests.conftest import PATIENCE
from tests.protection.folder.in_workers import Deadly, Halting, Heavy, Shown, talking_to_nobody
from tests.pseudonym.conftest import a_secret
from tests.space_keys import person, protector_for, space_key

SECRET = a_secret()
PHOTOS = 120
"""So many that whoever ends a job does so before it is done."""
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills processes by POSIX signals")


@pytest.fixture(scope="module")
def key() -> Key:
    return space_key()


@pytest.fixture
def values(key: Key, tmp_path: Path) -> dict[str, Any]:
    TrustLog().trust(key.manifest.sha256, name="tiny-space", reason="a test's")
    method = OnePassProtector(files=(protector_for(key),), fallback=False, tries=1)
    return {
        "keys": [key],
        "method": method,
        "compute": Compute(batch=3),
        "aligned": True,
        "secret": SECRET,
        "seed": 5,
        "out": tmp_path / "out",
    }


def photos(folder: Path, count: int, *, who: int = 1) -> Path:
    for number in range(count):
        write_atomically(folder / f"{number:03}.png", encode(person(who, number)))
    return folder


def by_workers(inputs: Path, job: FolderJob, **settings: Any) -> list[FolderResult | Failure]:
    return list(protect_by_workers(plan([inputs], job), job, **{"workers": 2} | settings))


def contents(folder: Path) -> tuple[dict[str, bytes], dict[str, float]]:
    """Every file, of records what no clock says; and apart from them the residuals that stand in records.

    An image's bytes do not depend on its batch; what a runtime says of it does in the last bits.
    """
    found, residuals = {}, {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if path.suffix == ".json":
                record = json.loads(data)
                for number, face in enumerate(record["faces"]):
                    del face["seconds"]
                    for name, value in face.pop("residuals").items():
                        residuals[f"{path.relative_to(folder)} {number} {name}"] = value
                data = json.dumps(record).encode()
            found[str(path.relative_to(folder))] = data
    return found, residuals


def same_contents(one: Path, other: Path) -> bool:
    """Whether two folders hold the same results."""
    (files, residuals), (others, their_residuals) = contents(one), contents(other)
    assert residuals == pytest.approx(their_residuals, abs=1e-4)
    return files == others


@pytest.mark.parametrize("upload", ["image", "features"])
def test_results_are_those_of_one_process(values: dict[str, Any], upload: str, home: Path, tmp_path: Path) -> None:
    """Captures, the person's face and other people are treated alike: the first photo says whose secret it is."""
    source = photos(tmp_path / "in", 9)
    photos(source / "other", 2, who=2)
    write_atomically(source / "again.png", encode(person(1, 3)))
    write_atomically(source / "000-broken.png", b"no photo")
    alone = FolderJob(**values | {"upload": upload})
    one = list(protect_into(plan([source], alone), alone))
    registered = len(next((home / "captures").glob("*.jsonl")).read_bytes().splitlines())
    for path in (home / "captures").glob("*.jsonl"):
        path.unlink()
    for path in (home / "enrolled").glob("*.sealed"):
        path.unlink()
    together = FolderJob(**values | {"upload": upload, "out": tmp_path / "together"})
    several = by_workers(source, together)
    assert same_contents(tmp_path / "out", tmp_path / "together")
    failed = [{one.name: one.reason for one in part if isinstance(one, Failure)} for part in (one, several)]
    assert failed[0] == failed[1]
    assert len(failed[0]) == 3
    assert len(several) == len(one) == 13
    assert len(next((home / "captures").glob("*.jsonl")).read_bytes().splitlines()) == registered == 9
    assert len(plan([source], alone).done) == len(plan([source], together).done) == 10


@pytest.mark.parametrize("method", [PMT(steps=2), Shown()], ids=["optimised", "shown"])
def test_without_a_secret(values: dict[str, Any], tmp_path: Path, method: PMT | Shown) -> None:
    """Warnings of what was allowed to show a face reach the caller."""
    source = photos(tmp_path / "in", 5)
    compute = Compute(batch=2, device="cpu", precision="float32")
    plain = values | {"compute": compute, "secret": None, "method": method, "paste": True, "allow_revealing": True}
    alone, together = FolderJob(**plain), FolderJob(**plain | {"out": tmp_path / "together"})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    said: list[list[str]] = []
    try:
        for job in (alone, together):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                results = by_workers(source, job) if job is together else [*protect_into(plan([source], job), job)]
                assert len(results) == 5
            said.append(sorted(str(each.message) for each in caught if each.category is RevealingWarning))
    finally:
        torch.set_num_threads(threads)
    assert same_contents(tmp_path / "out", tmp_path / "together")
    assert said[0] == said[1]
    assert bool(said[0]) is isinstance(method, Shown)


def test_killed_workers_lose_nothing_and_double_nothing(values: dict[str, Any], tmp_path: Path) -> None:
    source = photos(tmp_path / "in", 40)
    job = FolderJob(**values)
    results, killed = [], set()
    for result in protect_by_workers(plan([source], job), job, workers=2):
        results.append(result)
        if len(results) in (3, 12, 20):
            # the one that has worked for longest
            victim = min(child.pid for child in active_children() if child.pid is not None and child.pid not in killed)
            os.kill(victim, signal.SIGKILL)
            killed.add(victim)
    assert len(killed) == 3
    assert all(isinstance(result, FolderResult) for result in results)
    names = [result.source.name for result in results if isinstance(result, FolderResult)]
    assert sorted(names) == sorted(path.name for path in source.iterdir())
    assert len(plan([source], job).done) == 40
    alone = FolderJob(**values | {"out": tmp_path / "alone"})
    list(protect_into(plan([source], alone), alone))
    # no temporary file of the killed ones stays behind either
    assert same_contents(tmp_path / "out", tmp_path / "alone")
    assert not active_children()


def test_a_worker_goes_on_alone_where_no_other_begins(
    values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = photos(tmp_path / "in", 8)
    job = FolderJob(**values)
    begin, begun = util.spawnv_passfds, list[int]()

    def killed_but_the_first(path: Any, arguments: Any, passed: Any) -> int:
        process: int = begin(path, arguments, passed)
        if "spawn_main" in str(arguments):
            begun.append(process)
            if len(begun) > 1:
                os.kill(process, signal.SIGKILL)
        return process

    monkeypatch.setattr(util, "spawnv_passfds", killed_but_the_first)
    results = list(protect_by_workers(plan([source], job), job, workers=2))
    # counted anew once the first is ready
    assert 1 + STARTS <= len(begun) <= 1 + 2 * STARTS
    assert all(isinstance(result, FolderResult) for result in results)
    assert len(plan([source], job).done) == 8


def test_a_worker_that_dies_before_it_has_its_job_is_not_waited_for(
    values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = photos(tmp_path / "in", 4)
    job = FolderJob(**values | {"secret": None, "method": Heavy(), "allow_revealing": True})
    begin, killed = util.spawnv_passfds, list[int]()

    def killed_at_once(path: Any, arguments: Any, passed: Any) -> int:
        process: int = begin(path, arguments, passed)
        if not killed and "spawn_main" in str(arguments):
            os.kill(process, signal.SIGKILL)
            killed.append(process)
        return process

    def waited_in_vain(number: int, frame: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(util, "spawnv_passfds", killed_at_once)
    before = signal.signal(signal.SIGALRM, waited_in_vain)
    signal.alarm(int(PATIENCE))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RevealingWarning)
            results = by_workers(source, job)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert len(killed) == 1
    assert all(isinstance(result, FolderResult) for result in results)
    assert len(plan([source], job).done) == 4


@pytest.mark.long
def test_a_photo_that_kills_its_workers_is_reported_and_the_others_are_done(
    values: dict[str, Any], tmp_path: Path
) -> None:
    source = photos(tmp_path / "in", 8)
    write_atomically(source / "004.png", encode(np.zeros((112, 112, 3), np.uint8)))
    job = FolderJob(**values | {"secret": None, "method": Deadly(), "allow_revealing": True})
    results = by_workers(source, job)
    failed = [result for result in results if isinstance(result, Failure)]
    assert [Path(failure.name).name for failure in failed] == ["004.png"]
    assert f"{DEATHS} ended at it" in failed[0].reason
    assert "signal 9" in failed[0].reason
    assert len(results) == 8
    assert len(plan([source], job).done) == 7


def test_what_a_worker_refuses_ends_the_job(values: dict[str, Any], tmp_path: Path) -> None:
    source = photos(tmp_path / "in", 4)
    several = replace(space_key(seed=1, provider="Zeta"))
    TrustLog().trust(several.manifest.sha256, name="other", reason="a test's")
    job = FolderJob(**values | {"keys": [several]})
    with pytest.raises(ValueError, match="expected a protector for the space"):
        by_workers(source, job)
    for workers in (0, 257):
        with pytest.raises(ValueError, match="workers: expected 1 to 256"):
            by_workers(source, job, workers=workers)
    assert not active_children()


def test_ctrl_c_yields_what_is_finished_and_ends_the_workers(values: dict[str, Any], tmp_path: Path) -> None:
    source = photos(tmp_path / "in", 60)
    job = FolderJob(**values)
    results: list[FolderResult | Failure] = []

    def stop(taken: list[int]) -> None:
        # one after another, so that they count what was yielded
        if len(results) >= 4:
            raise KeyboardInterrupt

    work = protect_by_workers(plan([source], job), job, workers=2, on_step=stop)
    with pytest.raises(KeyboardInterrupt):
        results.extend(work)
    done = plan([source], job)
    assert len(done.done) == len(results)
    assert len(done.todo) == 60 - len(results) > 0
    assert not active_children()


def test_ctrl_c_yields_what_workers_said_that_ended_before_they_were_heard(
    values: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = photos(tmp_path / "in", 60)
    job = FolderJob(**values)
    results: list[FolderResult | Failure] = []
    send, ended = _Pool._send, list[int | None]()

    def heard_late(pool: _Pool, hand: _Hand, value: object) -> None:
        send(pool, hand, value)
        if value is None:
            hand.process.join(PATIENCE)
            ended.append(hand.process.exitcode)

    def stop(taken: list[int]) -> None:
        if len(results) >= 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(_Pool, "_send", heard_late)
    with pytest.raises(KeyboardInterrupt):
        results.extend(protect_by_workers(plan([source], job), job, workers=2, on_step=stop))
    assert ended == [0, 0]
    assert len(plan([source], job).done) == len(results)


def test_a_job_that_ends_leaves_nothing_half_written(values: dict[str, Any], tmp_path: Path) -> None:
    source, out = photos(tmp_path / "in", 2), tmp_path / "out"
    job = FolderJob(**values | {"secret": None, "method": Halting(folder=out)})

    def stop(taken: list[int]) -> None:
        if [*out.glob(".*.tmp")]:
            raise OSError("ended")

    with pytest.raises(OSError, match="ended"):
        list(protect_by_workers(plan([source], job), job, workers=2, on_step=stop))
    assert not active_children()
    assert not [*out.iterdir()]


def test_nothing_to_do_begins_no_process(values: dict[str, Any], tmp_path: Path) -> None:
    job = FolderJob(**values)
    assert list(protect_by_workers(Plan(todo={}, done=[], failures=[]), job, workers=3)) == []


@pytest.mark.parametrize("heard_first", [False, True])
def test_a_worker_whose_driver_is_gone_ends_without_a_word(
    values: dict[str, Any], heard_first: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It may see the broken line before it sees that its driver ended."""
    photos(tmp_path / "in", 1)
    worker = get_context("spawn").Process(target=talking_to_nobody, args=(FolderJob(**values), heard_first))
    worker.start()
    worker.join(PATIENCE)
    assert worker.exitcode == 1
    assert capfd.readouterr().err == ""


class TestCommand:
    """As a person runs it, in a process group of its own, as a terminal has it."""

    @pytest.fixture
    def command(self, values: dict[str, Any], key: Key, tmp_path: Path) -> list[str]:
        key.save(tmp_path / "acme.key.onnx")
        values["method"].files[0].save(tmp_path / "acme.protector.onnx")
        photos(tmp_path / "in", PHOTOS)
        files = ["--key", str(tmp_path / "acme.key.onnx"), "--protector", str(tmp_path / "acme.protector.onnx")]
        places = [str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--aligned", "--json", "--workers", "2"]
        return [sys.executable, "-W", "error", "-m", "facemin", "protect", *places, *files, "--batch", "4"]

    @pytest.mark.parametrize(("ending", "status"), [(signal.SIGINT, INTERRUPTED), (signal.SIGKILL, -signal.SIGKILL)])
    def test_a_driver_that_ends_leaves_a_rerun_to_finish(
        self, command: list[str], ending: int, status: int, tmp_path: Path
    ) -> None:
        def records() -> dict[str, int]:
            return {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.protected.json")}

        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        until = time.monotonic() + PATIENCE
        while len(records()) < 12 and time.monotonic() < until and child.poll() is None:
            time.sleep(0.02)
        workers = _children(child.pid)
        assert len(workers) >= 2
        if ending == signal.SIGINT:
            os.killpg(child.pid, ending)
        else:
            os.kill(child.pid, ending)
        out, err = child.communicate(timeout=PATIENCE)
        assert child.returncode == status, err
        assert b"Traceback" not in err
        _gone(workers)
        before = records()
        assert 12 <= len(before) < PHOTOS
        # as a worker leaves it that is killed within a file
        unfinished = tmp_path / "out" / f"{files._temporary(workers[0])}{0:016x}.tmp"
        unfinished.touch()
        if ending == signal.SIGINT:
            said = json.loads(out)
            assert len(said["protected"]) == len(before)
            assert said["left"] == PHOTOS - len(before)
        done = subprocess.run(command, capture_output=True, check=True)
        said = json.loads(done.stdout)
        assert re.search(rb"removed \d+ unfinished files? of a run that was killed", done.stderr)
        assert not [*(tmp_path / "out").glob(".*")]
        assert len(said["protected"]) == PHOTOS - len(before)
        assert len(said["done_before"]) == len(before)
        after = records()
        assert len(after) == PHOTOS
        assert {name: after[name] for name in before} == before, "what was done was done again"
        assert len([*(tmp_path / "out").glob("*.protected.png")]) == PHOTOS


def _children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task/{process}/children")
    if not tasks.exists():
        pytest.skip("needs /proc/PID/task/PID/children")
    return [int(number) for number in tasks.read_text().split()]


def _gone(processes: list[int]) -> None:
    until = time.monotonic() + PATIENCE
    while any(Path(f"/proc/{process}").exists() for process in processes):
        assert time.monotonic() < until, "workers outlived their driver"
        time.sleep(0.05)

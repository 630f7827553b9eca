"""A long folder by one process, by several, and on a local Ray cluster: speed, memory, and what kills leave.

    python benchmarks/folder_scale.py --photos ../shared/data/lfw/George_W_Bush --count 20000 --out RECORD.json
    python benchmarks/folder_scale.py --photos FOLDER --count 500 --ways one workers
    python benchmarks/folder_scale.py --photos FOLDER --one-count 4000 --kill    (one process: the first 4,000 alone)

The photos of one person are hard-linked under as many names as are asked for, under a fresh secret: under one secret
one person is protected, and a capture that is made again under the same pseudonym is no new one (files may be made
again; `once` would refuse it). So nothing of the everyday path is switched off, the capture register included.

Each way is a process of its own, `facemin protect`, killed where that is asked for: three workers while it runs (or
actors), then the driver, after which the same command is begun again until it ends. Memory is the sum of proportional
set sizes of its processes, sampled; results are counted and compared by name. Processor time is that of processes that
were waited for: not of Ray's daemons and actors.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measuring import load_averages, script_parser, write_record

WAYS: dict[str, list[str]] = {
    "one": [],
    "workers": ["--workers", "2"],
    "ray": ["--workers", "2", "--ray", "local"],
}
KILLED = {"workers": b"spawn_main", "ray": b"MapWorker"}
"""What the processes that are killed have in their command line."""
EVERY = 1.0
"""Seconds between two samples."""


def linked(photos: list[Path], folder: Path, count: int) -> None:
    """Copy the photos, and give the copies so many names."""
    copies = [Path(shutil.copy(photo, folder.parent / photo.name)) for photo in photos]
    for number in range(count):
        place = folder / f"{number // 1000:03}" / f"{number:06}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.hardlink_to(copies[number % len(copies)])


def descendants(process: int) -> list[int]:
    """A process and all that it began and what they began."""
    found, waiting = [], [process]
    while waiting:
        one = waiting.pop()
        found.append(one)
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                waiting += map(int, task.read_text().split())
            except OSError:
                continue
    return found


def memory(processes: list[int]) -> float:
    """MiB that they hold together, shared pages counted once."""
    total = 0
    for process in processes:
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def victims(processes: list[int], mark: bytes) -> list[int]:
    """Those of a kind."""
    found = []
    for process in processes:
        try:
            if mark in Path(f"/proc/{process}/cmdline").read_bytes():
                found.append(process)
        except OSError:
            continue
    return found


def records(out: Path) -> list[Path]:
    """Every record."""
    return [path for part in (out.iterdir() if out.exists() else ()) for path in part.glob("*.protected.json")]


def run(way: str, folder: Path, out: Path, home: Path, *, count: int, killing: bool) -> dict[str, Any]:
    """One way, to its end."""
    command = [sys.executable, "-m", "facemin", "protect", str(folder), "--out", str(out), "--json", *WAYS[way]]
    environment = os.environ | {"FACEMIN_HOME": str(home), "OMP_NUM_THREADS": "1"}
    samples: list[tuple[int, float]] = []
    kills: list[dict[str, Any]] = []
    at = [count * share // 5 for share in (1, 2, 3)] if killing and way in KILLED else []
    drivers = [count * 4 // 5] if killing else []
    began, spent = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    twice: dict[str, int] = {}
    said_in = home.with_suffix(".json")
    while True:
        # a file, not a pipe: nobody reads while it runs, and a pipe that is full would stop it
        with said_in.open("wb") as stdout:
            child = subprocess.Popen(command, env=environment, stdout=stdout, stderr=subprocess.DEVNULL)
        before = {str(path): path.stat().st_mtime_ns for path in records(out)} if kills else {}
        while child.poll() is None:
            time.sleep(EVERY)
            done, alive = len(records(out)), descendants(child.pid)
            samples.append((done, memory(alive)))
            if at and done >= at[0] and (aims := victims(alive, KILLED[way])):
                os.kill(aims[len(kills) % len(aims)], signal.SIGKILL)
                kills.append({"done": done, "what": "worker"})
                at.pop(0)
            if drivers and not at and done >= drivers[0]:
                child.kill()
                kills.append({"done": done, "what": "driver"})
                drivers.pop(0)
        for path, stamp in before.items():
            twice[path] = int(Path(path).stat().st_mtime_ns != stamp)
        if child.returncode != -signal.SIGKILL:
            break
        if way == "ray":
            # Ray ends a dead driver's actors by and by
            time.sleep(10)
    seconds, ended = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    said = json.loads(said_in.read_bytes())
    found = [json.loads(path.read_bytes()) for path in records(out)]
    names = [record["source"]["path"] for record in found]
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    tenth = max(1, len(samples) // 10)
    return {
        "way": way,
        "photos": count,
        "status": child.returncode,
        "seconds": round(seconds, 1),
        "job_seconds": round(said["seconds"], 1),
        "job_images_per_second": said["images_per_second"],
        "processor_seconds": round(ended.ru_utime + ended.ru_stime - spent.ru_utime - spent.ru_stime, 1),
        "kills": kills,
        "failed": len(said["failed"]),
        "records": len(found),
        "photos_without_a_record": count - len(set(names)) - len(said["failed"]),
        "doubled": len(names) - len(set(names)),
        "done_again_by_the_rerun": sum(twice.values()),
        "images": sum(name.endswith(".protected.png") for name in files),
        "files_of_no_result": sum(not name.endswith((".protected.png", ".protected.json")) for name in files),
        "mib_median_of_second_tenth_and_last": [
            round(sorted(value for _, value in part)[len(part) // 2], 1)
            for part in (samples[tenth : 2 * tenth] or samples, samples[-tenth:])
        ],
        "mib_most": round(max((value for _, value in samples), default=0.0), 1),
    }


def main() -> None:
    """Run the ways one after another and write the record."""
    parser = script_parser(__doc__, count=20_000)
    parser.add_argument("--photos", type=Path, required=True, help="folder of one person's photos")
    parser.add_argument("--one-count", type=int, help="photos for one process, where fewer tell its speed as well")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--kill", action="store_true", help="three workers and the driver of each way")
    given = parser.parse_args()
    sources = sorted(given.photos.glob("*.jpg"))
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "in").mkdir()
        linked(sources, folder / "in", given.count)
        linked(sources, folder / "few", given.one_count or given.count)
        for way in given.ways:
            load = load_averages()
            source, count = (
                (folder / "few", given.one_count) if way == "one" and given.one_count else (folder / "in", given.count)
            )
            row = run(way, source, folder / way, folder / f"home-{way}", count=count, killing=given.kill)
            rows.append(row | {"load_before_and_after": [load[0], load_averages()[0]]})
            print(json.dumps(rows[-1]), flush=True)
    speeds = {row["way"]: row["job_images_per_second"] for row in rows}
    ratios = {way: round(speed / speeds["one"], 2) for way, speed in speeds.items() if speeds.get("one") and speed}
    print(json.dumps({"ratios": ratios}))
    write_record(given.out, "facemin folder scale 1", rows, photos=given.count, ratios=ratios)


if __name__ == "__main__":
    main()

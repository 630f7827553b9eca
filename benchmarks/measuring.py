"""Parts that benchmarks share: command line, clocks, medians of interleaved runs, memory of processes, records."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from facemin.evaluation.provenance import conditions
from facemin.runtime.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def script_parser(description: str | None, **whole: int) -> argparse.ArgumentParser:
    """A command line with --out, the record to write, and whole numbers by name.

    Args:
        description: the script's docstring, shown as it is.
        whole: defaults of options that take whole numbers.
    """
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", type=Path, help="record to write")
    for name, value in whole.items():
        made.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    return made


class Spent(NamedTuple):
    """Seconds, by the clock and of the processor."""

    wall: float
    processor: float

    def per(self, count: int) -> Spent:
        """The share of each of so many."""
        return Spent(self.wall / count, self.processor / count)


class Clock:
    """Measures this process from its making; processor time is of all its threads."""

    def __init__(self) -> None:
        self._began = Spent(time.perf_counter(), time.process_time())

    def spent(self) -> Spent:
        """Since then."""
        return Spent(time.perf_counter() - self._began.wall, time.process_time() - self._began.processor)


def timed(work: Callable[[], object]) -> Spent:
    """Time of one call."""
    clock = Clock()
    work()
    return clock.spent()


def median(times: Sequence[Spent]) -> Spent:
    """Of each clock by itself."""
    return Spent(*(statistics.median(each) for each in zip(*times, strict=True)))


def medians(
    works: Mapping[str, Callable[[], object]], *, rounds: int, warm_up: int = 1, rest: float = 0.0
) -> dict[str, Spent]:
    """Median times of several works that take turns, so that a busy machine slows all of them.

    Args:
        works: each by its name.
        rounds: that count.
        warm_up: rounds before those.
        rest: seconds before each call, in which threads of the one before it come to rest.
    """
    times: dict[str, list[Spent]] = {name: [] for name in works}
    for _ in range(warm_up + rounds):
        for name, work in works.items():
            time.sleep(rest)
            times[name].append(timed(work))
    return {name: median(each[warm_up:]) for name, each in times.items()}


def mebibytes(field: str, process: int | str = "self") -> float:
    """Memory of a process by Linux: "VmRSS", what is in memory now, or "VmHWM", the most that ever was.

    Not `getrusage`, whose peak a new process takes over from the one that started it.
    """
    for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"expected {field} in /proc/{process}/status, got none")


def load_averages() -> list[float]:
    """What else the machine did: its load over 1, 5 and 15 minutes."""
    return [round(each, 1) for each in os.getloadavg()]


def write_record(out: Path | None, form: str, rows: Sequence[Mapping[str, Any]], **more: Any) -> None:
    """Write rows, the machine's load and the conditions as one JSON file, where one is asked for."""
    if out is not None:
        record = {"format": form, "load": load_averages(), **more, "rows": list(rows), **conditions()}
        write_atomically(out, json.dumps(record, indent=1).encode())

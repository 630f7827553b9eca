"""Core-hours of experiments as their records state them, each run once, and the records that state no time."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from facemin.experiments.store.records import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from facemin.experiments.store.documents import Document

HOUR = 3600

FIELDS = {"processor_seconds": 1, "seconds": 1, "fit_seconds": 1, "CPU minutes": 60}
"""Fields that state a time, and how many seconds their unit has; of several in one place the first counts."""

APART = frozenset({"log", "arguments", "settings", "experiment", "earlier"})
"""Parts of a record that state settings, or again what the run states as a whole."""

TRAINING = ("column", "keyed", "cut", "layers", "method", "settings", "arguments", "pairs_sha256", "commit")
"""Parts of a record of Table VI that name a training: the attack, the subject, and what both were set to."""

CLOCK_DIGITS = 3
"""Decimals to which scripts round a time; one with more was read from a clock, and no two runs share it."""

Time = tuple[float, ...]
"""Seconds of one run, or of several that were timed together."""


class Spending(NamedTuple):
    """What the records of one file state of the time that they took.

    Attributes:
        file: relative to the folder of results, with forward slashes.
        seconds: of one core, runs that an earlier file states left out.
        stated: whether any record states a time; where none does, `seconds` is 0 and says nothing.
    """

    file: str
    seconds: float
    stated: bool


def spendings(documents: Iterable[Document]) -> tuple[Spending, ...]:
    """What each file of records states, in their order.

    Protected images that several experiments share, and a training whose outcome several records judge, are stated by
    each of those records; they count once, of Table VI with the longest of the times that they state. A log's lines
    count from its run's beginning, so that its last one counts, and what states the same run's sum beside its logs
    does not.

    Args:
        documents: as `read_documents` has them.
    """
    seen: set[Time] = set()
    found = []
    for document in documents:
        if _has_logs(document.path):
            continue
        records = _trainings(document.records) if PurePosixPath(document.name).stem == "table6" else document.records
        times = [time for record in records for time in stated_times(record)]
        fresh = list(_once(times[-1:] if _is_log(document.path) else times, seen))
        found.append(Spending(document.name, sum(map(sum, fresh)), bool(times)))
    return tuple(found)


def stated_times(record: Any) -> Iterator[Time]:
    """Each time that a record states, in seconds; parts of what states its own whole are not looked into.

    Args:
        record: of `facemin bench run`, or of JSON, or a part of one.
    """
    if isinstance(record, Record):
        record = {"seconds": record.spent.seconds}
    if isinstance(record, list):
        for part in record:
            yield from stated_times(part)
    if not isinstance(record, dict):
        return
    for field, unit in FIELDS.items():
        if time := _numbers(record.get(field)):
            yield tuple(unit * value for value in time)
            return
    for name, part in record.items():
        if name not in APART:
            yield from stated_times(part)


def hours_by_folder(spent: Iterable[Spending]) -> dict[str, float]:
    """Core-hours by the folder that files lie in, of files that state any."""
    hours: dict[str, float] = {}
    for file, seconds, stated in spent:
        folder = file.rpartition("/")[0]
        if stated:
            hours[folder] = hours.get(folder, 0.0) + seconds / HOUR
    return hours


def _trainings(records: Iterable[Any]) -> list[Any]:
    """Records of Table VI, of those that judge one training the one that states the longest time.

    Some of them state the training and each row's own time together, which differ by less than a second, so that what
    they state does not tell one training from two. A row that comes again is of another run.
    """
    found: dict[Any, Any] = {}
    runs: Counter[tuple[Any, Any]] = Counter()
    for at, record in enumerate(records):
        settings = record.get("settings") if isinstance(record, dict) else None
        if not (isinstance(settings, dict) and "fitting" in settings and _numbers(record.get("seconds"))):
            found[at] = record
            continue
        training = json.dumps([record.get(name) for name in TRAINING], sort_keys=True)
        runs[training, record.get("row")] += 1
        place = (training, runs[training, record.get("row")])
        if place not in found or record["seconds"] > found[place]["seconds"]:
            found[place] = record
    return list(found.values())


def _once(times: Iterable[Time], seen: set[Time]) -> Iterator[Time]:
    """Those of runs that were not seen before; a single rounded time may be another run's too, and always counts."""
    for time in times:
        names_its_run = len(time) > 1 or time[0] != round(time[0], CLOCK_DIGITS)
        if names_its_run and time in seen:
            continue
        seen.add(time)
        yield time


def _numbers(value: Any) -> Time:
    """A time as numbers; none where the field holds something else, or nothing was spent."""
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in values):
        return ()
    return tuple(float(one) for one in values) if sum(values) > 0 else ()


def _is_log(file: Path) -> bool:
    return "-log" in file.stem


def _has_logs(file: Path) -> bool:
    return file.suffix == ".json" and any(file.parent.glob(f"{file.stem}-log*.jsonl"))

"""What a report opens with: what was found, in words, and what is missing or was made from changed code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from facemin.experiments import measures
from facemin.report.page import listing, paragraph, section

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from facemin.experiments.layouts.groups import Group
    from facemin.experiments.store.records import Record

HOUR = 3600


class Shortfall(NamedTuple):
    """Cells that nothing should rest on, each "experiment: cell"; quick runs are left out.

    Attributes:
        cells: number of all.
        empty: without a record.
        changed: whose record was made by changed code.
    """

    cells: int
    empty: tuple[str, ...]
    changed: tuple[str, ...]


class OtherRecords(NamedTuple):
    """A file of records of another kind, which the report names and does not show.

    Attributes:
        name: relative to the report's folder.
        records: number of them.
        changed: those that say that changed code made them.
    """

    name: str
    records: int
    changed: int


def shortfall(groups: Iterable[Group]) -> Shortfall:
    """What is missing of experiments, and what changed code made."""
    rows = [(group.header.name, row) for group in groups if not group.quick for row in group.rows]
    return Shortfall(
        len(rows),
        tuple(f"{name}: {row.entry.name}" for name, row in rows if row.record is None),
        tuple(f"{name}: {row.entry.name}" for name, row in rows if row.record is not None and row.record.dirty),
    )


def other_records(folder: Path, files: Iterable[Path]) -> tuple[OtherRecords, ...]:
    """Count records of other kinds, JSON Lines each.

    Raises:
        ValueError: a line that is no JSON, named.
    """
    found = []
    for file in files:
        records = []
        for at, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            try:
                records.append(json.loads(line))
            except ValueError as error:
                raise ValueError(f"{file}, line {at}: expected a record, {error}") from None
        changed = sum(isinstance(record, dict) and record.get("dirty") is True for record in records)
        found.append(OtherRecords(file.relative_to(folder).as_posix(), len(records), changed))
    return tuple(found)


def findings(groups: Sequence[Group], others: Sequence[OtherRecords] = ()) -> str:
    """A section with a sentence for each experiment, and one for what is not there."""
    quick = [group for group in groups if group.quick]
    whole = [group for group in groups if not group.quick]
    hours = sum(record.spent.seconds for group in whole for record in group.records) / HOUR
    missed = shortfall(whole)
    parts = [listing("What was found", [_said(group) for group in whole])] if whole else []
    parts.append(
        paragraph(
            f"{missed.cells - len(missed.empty)} of {missed.cells} cells are measured, {len(missed.changed)} of them "
            f"by changed code; {hours:.1f} core-hours of protecting.",
            "warn" if missed.empty or missed.changed else "quiet",
        )
    )
    if missed.empty:
        parts.append(listing("Without a record", missed.empty))
    if missed.changed:
        parts.append(listing("By changed code", missed.changed))
    if others:
        said = [f"{one.name}: {one.records}, {one.changed} of them by changed code" for one in others]
        parts.append(listing("Records of other experiments, which have no section here", said))
    if quick:
        parts.append(
            paragraph(f"Quick runs, which say nothing: {', '.join(one.header.name for one in quick)}.", "quiet")
        )
    return section("What was found", parts)


def _said(group: Group) -> str:
    """An experiment in a sentence: what is kept, and what others get, over its cells."""
    source = f" ({group.header.source})" if group.header.source else ""
    start = f"{group.header.title}{source}, {group.data}: "
    kept = [_kept(record) for record in group.records if record.spent.steps]
    if not kept:
        return f"{start}nothing was protected."
    words = f"the authorised keep {_range([value for value, _ in kept])} of what they accept plain"
    others = [value for _, value in kept if value is not None]
    if others:
        words += f"; any other recogniser, after any operation, accepts {_range(others)} of the people"
    return f"{start}{words}."


def _kept(record: Record) -> tuple[float, float | None]:
    """TAR of the authorised judge that keeps least, of its plain TAR; and the share whom any other accepts."""
    own = measures.weakest(record, measures.authorised(record), ("none",))
    assert own is not None
    clean = measures.clean_tar(record, own.judge).value
    others = measures.unauthorised(record)
    return (own.share.value / clean if clean else 0.0), (measures.union(record, others).value if others else None)


def _range(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    return f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"

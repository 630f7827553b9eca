"""Records by experiment and data: what a report shows together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from facemin.bench.records import digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from facemin.bench.records import CellEntry, Header, Record


class Row(NamedTuple):
    """A cell that the experiment has, and its record if it was measured."""

    entry: CellEntry
    record: Record | None


class Group(NamedTuple):
    """All cells of one experiment on one set of faces."""

    header: Header
    data: str
    quick: bool
    rows: tuple[Row, ...]
    superseded: int
    """Records of settings that the experiment no longer has, or that were measured again."""

    @property
    def records(self) -> tuple[Record, ...]:
        """Those that were measured; at least one."""
        return tuple(row.record for row in self.rows if row.record is not None)

    @property
    def judges(self) -> tuple[str, ...]:
        """In the experiment's order."""
        return tuple(self.records[0].protected)


def grouped(records: Iterable[Record]) -> list[Group]:
    """Records by experiment, faces and whether they are quick; the latest record says what the experiment has.

    Of a cell that was measured more than once, the last record counts.
    """
    found: dict[tuple[str, str, str, bool], list[Record]] = {}
    for record in records:
        key = (record.experiment.name, record.data.name, record.data.sha256, record.quick)
        found.setdefault(key, []).append(record)
    groups = []
    for (_, data, _, quick), members in found.items():
        header = members[-1].experiment
        latest = {digest(record.resolved): record for record in members}
        rows = tuple(Row(entry, latest.get(entry.settings)) for entry in header.cells)
        shown = sum(row.record is not None for row in rows)
        groups.append(Group(header, data, quick, rows, len(members) - shown))
    return groups

"""Records by experiment and data: what a report shows together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from facemin.experiments.store.records import digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from facemin.experiments.store.records import CellEntry, Header, Record


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


def grouped(records: Iterable[Record], now: Header | None = None) -> list[Group]:
    """Records by experiment, faces and whether they are quick.

    Of a cell that was measured more than once, the last record counts.

    Args:
        records: in their order.
        now: what the experiment has; the latest record says it where this is None or has none of what was measured.
    """
    found: dict[tuple[str, str, str, bool], list[Record]] = {}
    for record in records:
        key = (record.experiment.name, record.data.name, record.data.sha256, record.quick)
        found.setdefault(key, []).append(record)
    groups = []
    for (_, data, _, quick), members in found.items():
        latest = {digest(record.resolved): record for record in members}
        header = members[-1].experiment
        if now is not None and now.name == header.name and any(entry.settings in latest for entry in now.cells):
            header = now
        rows = tuple(Row(entry, latest.get(entry.settings)) for entry in header.cells)
        # two cells may be of one record: the paper has rows that differ in name alone
        shown = len({row.entry.settings for row in rows if row.record is not None})
        groups.append(Group(header, data, quick, rows, len(members) - shown))
    return groups

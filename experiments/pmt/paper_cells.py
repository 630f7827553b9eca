"""Cells of docs/paper.md's tables: a column is a title and what it says of a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from facemin.experiments import measures
from facemin.experiments.common import table_head
from facemin.experiments.layouts.entries import LEAST, with_interval
from facemin.metrics import holm

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from facemin.evaluation.judge import Share
    from facemin.experiments.layouts.groups import Group
    from facemin.experiments.store.records import CellEntry, Record
    from facemin.metrics import Area


class Line(NamedTuple):
    """A row: which table it is of, the cell, and what was measured."""

    table: str
    entry: CellEntry
    record: Record

    @property
    def owners(self) -> tuple[str, ...]:
        """The authorised judges."""
        return measures.authorised(self.record)

    @property
    def others(self) -> tuple[str, ...]:
        """All other judges."""
        return measures.unauthorised(self.record)


Column = tuple[str, Callable[[Line], str]]


def lines(groups: dict[str, Group], titles: dict[str, str]) -> list[Line]:
    """Every cell of some experiments.

    Raises:
        ValueError: an experiment or a cell without a record, named.
    """
    found = []
    for name, title in titles.items():
        if name not in groups:
            raise ValueError(f"results/pmt/{name}.jsonl: expected records, found none")
        for entry, record in groups[name].rows:
            if record is None:
                raise ValueError(f"results/pmt/{name}.jsonl: expected a record of {entry.name!r}, found none")
            found.append(Line(title, entry, record))
    return found


def table(rows: Iterable[Line], columns: Sequence[Column]) -> str:
    """In Markdown."""
    head = table_head(*(title for title, _ in columns))
    return "\n".join([*head, *(f"| {' | '.join(say(row) for _, say in columns)} |" for row in rows)])


def across(first: str, cells: Iterable[str]) -> str:
    """A line of a table by its first cell and the others."""
    return f"| {first} | {' | '.join(cells)} |"


def said(share: Share) -> str:
    """A share with its interval."""
    return with_interval(share.value, share.low, share.high)


def printed(value: float | None, *, digits: int = 3) -> str:
    """Of the paper; a dash where it has none."""
    return "-" if value is None else f"{value:.{digits}f}"


def worst_other(row: Line, among: tuple[str, ...] | None = None) -> str:
    """The highest TAR of any judge without a key."""
    found = measures.worst(row.record, row.others, among)
    assert found is not None
    return said(found.share)


def strangers(row: Line, judges: tuple[str, ...], among: tuple[str, ...] | None = None) -> str:
    """The highest share of pairs of two people that any of some judges accepts."""
    found = measures.worst_far(row.record, judges, among)
    assert found is not None
    return said(found.share)


def areas(row: Line, judges: tuple[str, ...], operation: str) -> list[Area]:
    """Of each judge after one operation."""
    return [area for _, name, area in measures.areas(row.record, judges) if name == operation]


def area_said(area: Area) -> str:
    """An area under the curve with its interval."""
    return with_interval(area.auc, area.interval.low, area.interval.high)


def highest_area(row: Line) -> str:
    """The highest area of any other after any operation, with the p of its being the highest of all."""
    found = [area for _, _, area in measures.areas(row.record, row.others)]
    adjusted = holm([area.p for area in found])
    at = max(range(len(found)), key=lambda place: found[place].auc)
    p = f"p {adjusted[at]:.1g}" if adjusted[at] >= LEAST else f"p < {LEAST:g}"
    return f"{area_said(found[at])}, {p}"


def counted(row: Line) -> str:
    """Pairs of one person, and of two."""
    same = row.record.same
    return f"{sum(same)}, {len(same) - sum(same)}"


LEFT: tuple[Column, ...] = (("table", lambda row: row.table), ("choice", lambda row: row.entry.name))

RANKED: tuple[Column, ...] = (
    ("AUC: authorised, raw", lambda row: area_said(min(areas(row, row.owners, "none"), key=lambda one: one.auc))),
    ("highest AUC of any other, any operation", highest_area),
    ("different people accepted: authorised, raw", lambda row: strangers(row, row.owners, ("none",))),
    ("by the worst other, any operation", lambda row: strangers(row, row.others)),
    ("pairs of one, of two people", counted),
)
"""What holds of ranking and of strangers, in every table."""

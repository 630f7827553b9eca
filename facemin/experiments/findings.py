"""What was found, in words, with which a report opens, and what its records do not say, with which it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from facemin.experiments.layouts.entries import UNRUN
from facemin.experiments.layouts.places import CLAIMS
from facemin.experiments.store.core_hours import hours_by_folder
from facemin.experiments.store.documents import is_changed
from facemin.report.page import Entry, listing, paragraph, section, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from facemin.experiments.layouts.groups import Group
    from facemin.experiments.layouts.sections import Section
    from facemin.experiments.store.core_hours import Spending
    from facemin.experiments.store.documents import Document


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


class RecordsOf(NamedTuple):
    """What a file's records say of the code that made them.

    Attributes:
        name: relative to the report's folder.
        records: number of them.
        changed: those that say that changed code made them.
        unstated: those that say nothing of it.
        shown: whether the report has a section of them.
    """

    name: str
    records: int
    changed: int
    unstated: int
    shown: bool


def shortfall(groups: Iterable[Group]) -> Shortfall:
    """What is missing of experiments, and what changed code made."""
    rows = [(group.header.name, row) for group in groups if not group.quick for row in group.rows]
    return Shortfall(
        len(rows),
        tuple(f"{name}: {row.entry.name}" for name, row in rows if row.record is None),
        tuple(f"{name}: {row.entry.name}" for name, row in rows if row.record is not None and row.record.dirty),
    )


def records_of(document: Document, *, shown: bool) -> RecordsOf:
    """Count a file's records by what they say of the code."""
    said = [is_changed(record) for record in document.records]
    return RecordsOf(document.name, len(said), said.count(True), said.count(None), shown)


def findings(
    sections: Sequence[Section], missed: Shortfall, files: Sequence[RecordsOf], spent: Sequence[Spending]
) -> str:
    """A section with what each table and figure came to, what is missing, and what it took.

    Args:
        sections: of the report, quick runs left out, in its order.
        missed: of all experiments.
        files: every file of records.
        spent: what the files state of the time that they took.
    """
    hours = hours_by_folder(spent)
    listed = ", ".join(f"{folder or 'this folder'} {value:.1f}" for folder, value in hours.items())
    said = f"Core-hours that the records state, each run counted once: {sum(hours.values()):.1f}"
    cost = paragraph(f"{said} ({listed})." if listed else f"{said}.", "quiet")
    return section("What was found", [*_found(sections), *_missing(missed, files), cost])


def account(files: Sequence[RecordsOf], spent: Sequence[Spending]) -> str:
    """A section with what files of records do not say, and which of them have no section."""
    lists = {
        "Without a section here, and their number of records": [
            f"{one.name}: {one.records}" for one in files if not one.shown
        ],
        "Records that do not say whether the code was changed": [
            f"{one.name}: {one.unstated} of {one.records}" for one in files if one.unstated
        ],
        "Files that state no time": [one.file for one in spent if not one.stated],
    }
    parts = [listing(title, texts) for title, texts in lists.items() if texts]
    return section(
        "Files of records", parts or [paragraph("Each has a section, states its time and its code.", "quiet")]
    )


def _found(sections: Sequence[Section]) -> list[str]:
    of_places = {place: [one for one in sections if one.place == place] for place in CLAIMS}
    parts = []
    if any(of_places.values()):
        rows: list[list[Entry | str]] = [
            [place, Entry(claim, mark="words paper"), here]
            for place, claim in CLAIMS.items()
            for here in [Entry(one.said, mark="words") for one in of_places[place]] or [UNRUN]
        ]
        parts.append(table("PMT's tables and figures", ["of the paper", "it claims", "here"], rows, stacked=True))
    beyond = [f"{one.title}: {one.said}" for one in sections if not one.place]
    return [*parts, listing("Beyond the paper's tables and figures", beyond)] if beyond else parts


def _missing(missed: Shortfall, files: Sequence[RecordsOf]) -> list[str]:
    changed = sum(one.changed for one in files)
    unstated = sum(one.unstated for one in files)
    records = sum(one.records for one in files)
    said = (
        f"{missed.cells - len(missed.empty)} of {missed.cells} cells are measured, {len(missed.changed)} of them by "
        f"changed code. Of all {records:,} records in {len(files)} files {changed} say that changed code made them, "
        f"and {unstated} say nothing of it."
    )
    lists = {
        "Without a record": missed.empty,
        "Cells by changed code": missed.changed,
        "Files with records by changed code": [
            f"{one.name}: {one.changed} of {one.records}" for one in files if one.changed
        ],
    }
    start = paragraph(said, "warn" if missed.empty or changed else "quiet")
    return [start, *(listing(title, texts) for title, texts in lists.items() if texts)]

"""Report layout of simultaneous attempts: the union beside the worst, ranks beside shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facemin.experiments import measures
from facemin.experiments.layouts.entries import UNRUN, named_entry, small
from facemin.experiments.layouts.tables import by_columns
from facemin.metrics import holm
from facemin.report.page import Entry, shown

if TYPE_CHECKING:
    from facemin.experiments.layouts.groups import Group
    from facemin.experiments.layouts.tables import Column
    from facemin.experiments.store.records import Record


def all_together(group: Group) -> list[str]:
    """What every judge whose key was not used, after every operation, got of the same people."""
    columns: list[Column] = [
        ("worst other TAR, any operation", lambda r: named_entry(measures.worst(r, measures.unauthorised(r)))),
        ("accepted by any other after any operation", lambda r: shown(measures.union(r, measures.unauthorised(r)))),
        ("attempts", lambda r: str(len(measures.unauthorised(r)) * len(measures.operations(r)))),
    ]
    if not all(group.records[0].same):
        columns += [
            ("highest AUC of any other (chance 0.5)", _highest_area),
            ("different people accepted: authorised", lambda r: _false(r, measures.authorised(r))),
            ("different people accepted: worst other", lambda r: _false(r, measures.unauthorised(r))),
        ]
    return [by_columns(group, "All attempts of the unauthorised together", (), columns)]


def _highest_area(record: Record) -> Entry:
    """With the p of the worst of all attempts."""
    areas = measures.areas(record, measures.unauthorised(record))
    if not areas:
        return UNRUN
    adjusted = holm([area.p for _, _, area in areas])
    at = max(range(len(areas)), key=lambda place: areas[place][2].auc)
    judge, operation, area = areas[at]
    what = judge if operation == "none" else f"{judge}, {operation}"
    said = f"{area.interval.low:.3f} to {area.interval.high:.3f}; {what}; p of all attempts {small(adjusted[at])}"
    return Entry(f"{area.auc:.3f}", said)


def _false(record: Record, judges: tuple[str, ...]) -> Entry:
    return named_entry(measures.worst_far(record, judges))

"""Report layout of selectivity: the authorised recogniser's rate over the worst unauthorised one's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from facemin.experiments import measures
from facemin.experiments.layouts import plots
from facemin.experiments.layouts.entries import named_entry, residual_entry, steps_entry
from facemin.experiments.layouts.tables import by_columns
from facemin.report.page import Entry, image, number

if TYPE_CHECKING:
    from facemin.experiments.layouts.groups import Group, Row
    from facemin.experiments.layouts.tables import Column
    from facemin.experiments.store.records import Record


def as_selectivity(group: Group) -> list[str]:
    """A plot a recogniser or set of them, the best point of each series, and all points."""
    best: dict[str, Row] = {}
    for row in group.rows:
        if row.record is not None:
            before = best.get(row.entry.series)
            if before is None or _selectivity(row) > _selectivity(before):
                best[row.entry.series] = row
    ranked = tuple(sorted(best.values(), key=_selectivity, reverse=True))
    drawn = [
        image(_plot(group, owners), media="image/svg+xml", alt=f"selectivity of {', '.join(owners)}", wide=True)
        for owners in dict.fromkeys(measures.authorised(record) for record in group.records)
    ]
    return [
        *drawn,
        by_columns(group._replace(rows=ranked), "Best operating points, one a series", (), COLUMNS),
        by_columns(group, "All points", (), COLUMNS),
    ]


def _selectivity(row: Row) -> float:
    assert row.record is not None
    value = measures.selectivity(row.record)
    return -math.inf if math.isnan(value) else value


def _plot(group: Group, owners: tuple[str, ...]) -> bytes:
    panels: list[tuple[str, list[plots.Path]]] = []
    for title, among in (("raw", ("none",)), ("after the worst operation", None)):
        paths: dict[str, list[plots.Point]] = {}
        for entry, record in group.rows:
            if record is None or measures.authorised(record) != owners:
                continue
            own = measures.weakest(record, owners, ("none",))
            other = measures.worst(record, measures.unauthorised(record), among)
            if own is not None and other is not None:
                text = " ".join(str(value) for value in entry.point.values() if not isinstance(value, dict))
                paths.setdefault(entry.series, []).append(plots.Point(other.share, own.share, text))
        panels.append((title, [plots.Path(label, tuple(points)) for label, points in paths.items()]))
    return plots.selectivity(panels, title=f"authorised: {', '.join(owners)}")


def _own(record: Record) -> measures.NamedRate:
    found = measures.weakest(record, measures.authorised(record), ("none",))
    assert found is not None
    return found


def _of_clean(record: Record) -> Entry:
    own = _own(record)
    clean = measures.clean_tar(record, own.judge).value
    return number(own.share.value / clean if clean else math.nan)


COLUMNS: list[Column] = [
    ("cut (share of the network)", lambda r: "; ".join(f"{key.cut} ({key.share:.1%})" for key in r.keys)),
    ("authorised TAR, raw", lambda r: named_entry(_own(r), mark="own")),
    ("of clean", _of_clean),
    ("lowest after any operation", lambda r: named_entry(measures.weakest(r, measures.authorised(r)), mark="own")),
    ("worst other TAR, raw", lambda r: named_entry(measures.worst(r, measures.unauthorised(r), ("none",)))),
    ("worst other TAR, any operation", lambda r: named_entry(measures.worst(r, measures.unauthorised(r)))),
    ("selectivity", lambda r: number(measures.selectivity(r))),
    ("n", lambda r: str(_own(r).share.n)),
    ("steps", steps_entry),
    ("residual", residual_entry),
    ("not reached", lambda r: str(measures.unreached(r))),
]

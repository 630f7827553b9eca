"""What a report opens with: what was found, in words, and what is missing or was made from changed code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facemin.experiments import measures
from facemin.report.page import listing, paragraph, section

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facemin.experiments.layouts.groups import Group
    from facemin.experiments.store.records import Record

HOUR = 3600


def findings(groups: Sequence[Group]) -> str:
    """A section with a sentence for each experiment, and one for what is not there."""
    quick = [group for group in groups if group.quick]
    whole = [group for group in groups if not group.quick]
    hours = sum(record.spent.seconds for group in whole for record in group.records) / HOUR
    rows = [row for group in whole for row in group.rows]
    empty = sum(row.record is None for row in rows)
    changed = [record for group in whole for record in group.records if record.dirty]
    parts = [listing("What was found", [_said(group) for group in whole])] if whole else []
    parts.append(
        paragraph(
            f"{len(rows) - empty} of {len(rows)} cells are measured, {len(changed)} of them by changed code; "
            f"{hours:.1f} core-hours of protecting.",
            "warn" if empty or changed else "quiet",
        )
    )
    if missing := [
        f"{group.header.name}: {', '.join(row.entry.name for row in group.rows if row.record is None)}"
        for group in whole
        if any(row.record is None for row in group.rows)
    ]:
        parts.append(listing("Without a record", missing))
    if changed:
        parts.append(listing("By changed code", [f"{one.experiment.name}: {one.cell}" for one in changed]))
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

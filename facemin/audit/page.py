"""HTML page of an audit, self-contained; it shows plain faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from facemin.audit.figures import percent
from facemin.audit.run import STOPPED
from facemin.audit.sample_size import BOUND, WORDS, further
from facemin.autograd.pixels import to_array
from facemin.image import encode
from facemin.report.page import Entry, document, image, listing, paragraph, section, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facemin.audit.result import Grid, RowResult
    from facemin.audit.run import Audit
    from facemin.audit.sample_size import Outcome

TITLE = "facemin audit"
FEW = 4
"""Faces beside one another that a narrow screen still shows well."""

GAP = 4
"""Pixels of white between faces."""

INTRODUCTION = (
    "What adversaries of each kind got out of these protected faces, on this machine, in the time given. It is no "
    "certificate: it says what the attacks below achieved, and nothing of attacks that were not run."
)
READING = (
    "Shares are counts with Wilson's 95 % interval. A row is called bounded only when the upper end of the interval "
    "lies at or below {bound}: with no hit at all that takes {zero} pairs. Floors are images that know nothing of "
    "the person; what lies at them says nothing, what lies above them leaks."
)
MARKS: dict[Outcome, str] = {
    "leak": "leak",
    "bounded": "bounded",
    "cannot tell": "open",
    "look": "look",
    "not tested": "none",
}
"""The colour of each outcome, which always stands with its words."""

WARNING = "This page shows the plain faces. Keep it to yourself."


def render(audit: Audit) -> bytes:
    """The page, UTF-8."""
    evidence = audit.evidence
    judges = len(evidence.panel.judges)
    measured = (
        f"{len(evidence.names)} faces, {len(evidence.pairs.probes)} comparisons; {judges} other recognisers at FAR "
        f"{evidence.far:g}, {len(evidence.panel.estimators)} attribute estimators; {audit.seconds:.0f} s of "
        f"{audit.minutes:g} minutes. {' '.join(evidence.remarks)}"
    )
    reading = READING.format(bound=percent(BOUND), zero=1 + further(0, 1))
    parts = [
        paragraph(WARNING, "warn"),
        section("Verdicts", [paragraph(measured, "quiet"), *_stopped(audit), _verdicts(audit)]),
        section(audit.authorised.title, _row(audit.authorised)),
    ]
    parts += [section(f"{row.row} - {row.title}", _row(row)) for row in audit.rows]
    parts.append(section("Who judged", [_panel(audit)]))
    if audit.untested:
        parts.append(section("What was not tested", [listing("Not tested, and why", audit.untested)]))
    return document(TITLE, parts, introduction=(INTRODUCTION, reading)).encode()


def _stopped(audit: Audit) -> list[str]:
    return [paragraph(f"{STOPPED} What had been found by then is here.", "warn")] if audit.stopped else []


def _verdicts(audit: Audit) -> str:
    rows = [("provider", audit.authorised), *((str(row.row), row) for row in audit.rows)]
    entries = [
        (
            Entry(name),
            Entry(row.title, row.knows, "text"),
            Entry(_said(row), mark=MARKS[row.outcome]),
            Entry(row.verdict, _left_out(row), "words"),
        )
        for name, row in rows
    ]
    return table(
        "What each adversary got", ("row", "adversary, and what it knows", "outcome", "in words"), entries, stacked=True
    )


def _said(row: RowResult) -> str:
    return "See the counts" if row.row is None and row.outcome == "look" else WORDS[row.outcome]


def _left_out(row: RowResult) -> str:
    """What a verdict does not cover, at the verdict itself."""
    return f"Not tested: {' '.join(row.untested)}" if row.untested else ""


def _row(row: RowResult) -> Iterator[str]:
    yield paragraph(f"{_said(row)}. {row.verdict}", MARKS[row.outcome])
    if row.untested:
        yield paragraph(_left_out(row), "quiet")
    if row.knows:
        yield paragraph(f"Knows: {row.knows}. Took {row.seconds:.1f} s.", "quiet")
    for one in row.tables:
        yield table(one.caption, one.head, one.rows)
    for grid in row.pictures:
        titles = ", ".join(title for title, _ in grid.rows)
        yield image(
            picture(grid),
            media="image/png",
            alt=f"{grid.caption}: {titles}",
            caption=f"{grid.caption}, from top to bottom: {titles}.",
            wide=len(grid.rows[0][1]) > FEW,
        )


def picture(grid: Grid) -> bytes:
    """A grid as a PNG file, a row of faces for each of its rows."""
    lines = []
    for _, faces in grid.rows:
        padded = torch.nn.functional.pad(faces.clamp(0, 1).float(), (0, GAP, 0, GAP), value=1.0)
        lines.append(torch.cat(list(padded), 2))
    return encode(to_array(torch.cat(lines, 1)))


def _panel(audit: Audit) -> str:
    evidence = audit.evidence
    rows = [
        (
            one.name,
            "yes" if one in evidence.panel.authorised else "no",
            f"{one.at.threshold:.4f}",
            Entry(one.at.source, mark="text"),
        )
        if one.at
        else (one.name, "yes" if one in evidence.panel.authorised else "no", "none", Entry(one.missing, mark="text"))
        for one in (*evidence.panel.authorised, *evidence.panel.others)
    ]
    return table("Recognisers", ("recogniser", "its key was used", "threshold", "measured on"), rows)

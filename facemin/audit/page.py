"""An audit as one HTML file that needs nothing from elsewhere. It shows faces: whoever has it has seen them."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import torch

from facemin.audit.figures import percent
from facemin.audit.sample_size import BOUND, WORDS, further
from facemin.autograd.pixels import to_array
from facemin.image import encode
from facemin.report.page import Entry, document, image, paragraph, section, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from facemin.audit.result import Grid, RowResult
    from facemin.audit.run import Audit
    from facemin.audit.sample_size import Outcome

TITLE = "facemin audit"
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
MARKS: dict[Outcome, str] = {"leak": "leak", "not tested": "missing"}
"""How outcomes stand out in the table of verdicts."""

WARNING = "This page shows the plain faces. Keep it to yourself."


def render(audit: Audit) -> bytes:
    """The page, UTF-8."""
    evidence = audit.evidence
    judges = len(evidence.judges)
    measured = (
        f"{len(evidence.names)} faces, {len(evidence.pairs.probes)} comparisons; {judges} other recognisers at FAR "
        f"{evidence.far:g}, {len(evidence.estimators)} attribute estimators; {audit.seconds:.0f} s of "
        f"{audit.minutes:g} minutes. {' '.join(evidence.remarks)}"
    )
    reading = READING.format(bound=percent(BOUND), zero=1 + further(0, 1))
    parts = [
        paragraph(WARNING, "warn"),
        paragraph(INTRODUCTION),
        paragraph(measured, "quiet"),
        _verdicts(audit),
        paragraph(reading, "quiet"),
        _untested(audit),
        section(audit.authorised.title, _row(audit.authorised)),
    ]
    parts += [section(f"{row.row} - {row.title}", _row(row)) for row in audit.rows]
    parts.append(section("Who judged", [_panel(audit)]))
    return document(TITLE, parts).encode()


def _verdicts(audit: Audit) -> str:
    rows = [("provider", audit.authorised), *((str(row.row), row) for row in audit.rows)]
    entries = [
        (
            Entry(name),
            Entry(row.title, row.knows, "text"),
            Entry(_said(row), mark=MARKS.get(row.outcome, "text")),
            Entry(row.verdict, mark="text"),
        )
        for name, row in rows
    ]
    return table("Verdicts", ("row", "adversary, and what it knows", "outcome", "in words"), entries)


def _said(row: RowResult) -> str:
    return "See the counts" if row.row is None and row.outcome == "look" else WORDS[row.outcome]


def _untested(audit: Audit) -> str:
    items = "".join(f"<li>{escape(text)}</li>\n" for text in audit.untested)
    return f"<h3>Not tested, and why</h3>\n<ul>\n{items}</ul>\n" if items else ""


def _row(row: RowResult) -> Iterator[str]:
    yield paragraph(row.verdict if row.row is None else f"{_said(row)}. {row.verdict}")
    if row.knows:
        yield paragraph(f"Knows: {row.knows}. Took {row.seconds:.1f} s.", "quiet")
    for one in row.tables:
        yield table(one.caption, one.head, one.rows)
    for grid in row.pictures:
        yield paragraph(f"{grid.caption}, from top to bottom: {', '.join(title for title, _ in grid.rows)}.", "quiet")
        yield image(
            picture(grid), media="image/png", alt=f"{grid.caption}: {', '.join(title for title, _ in grid.rows)}"
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
            "yes" if one in evidence.authorised else "no",
            f"{one.at.threshold:.4f}",
            Entry(one.at.source, mark="text"),
        )
        if one.at
        else (one.name, "yes" if one in evidence.authorised else "no", "none", Entry(one.missing, mark="text"))
        for one in (*evidence.authorised, *evidence.others)
    ]
    return table("Recognisers", ("recogniser", "its key was used", "threshold", "measured on"), rows)

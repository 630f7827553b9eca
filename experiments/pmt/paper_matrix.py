"""Tables VII and IX in docs/paper.md: who is let in beside the authorised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paper_cells import LEFT, RANKED, lines, printed, said, table, worst_other

from facemin.experiments import measures

if TYPE_CHECKING:
    from paper_cells import Column, Line

    from facemin.experiments.layouts.groups import Group

SINGLE = {"table7": "VII", "table7_600": "VII, 600 pairs", "architecture": "an IR-18"}
SEVERAL = {"table9": "IX"}
UNCENTRED = "dlib-resnet29"
"""Its cosines of strangers lie near 0.8: at 0.2 it takes everybody for one person, which is no answer."""


def matrix_tables(groups: dict[str, Group]) -> str:
    """One key at a time, then several."""
    return "\n\n".join(
        [*_three(lines(groups, SINGLE)), "### Several keys at once: Table IX", *_three(lines(groups, SEVERAL))]
    )


def _three(rows: list[Line]) -> list[str]:
    return [
        "Strict accuracy at 0.2, the paper's measure, beside its figures for the same role:",
        table(rows, (*LEFT, *STRICT)),
        "Who accepts, at FAR 1e-3:",
        table(rows, (*LEFT, *ACCEPTED)),
        "Who ranks, and who takes different people for one:",
        table(rows, (*LEFT, *RANKED)),
    ]


def _strict(row: Line, judges: tuple[str, ...]) -> str:
    return said(measures.mean_strict(row.record, judges, kappa=row.record.experiment.kappa))


def _centred(judges: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(judge for judge in judges if judge != UNCENTRED)


STRICT: tuple[Column, ...] = (
    ("paper: authorised", lambda row: printed(row.entry.paper.authorised)),
    ("paper: mean of others", lambda row: printed(row.entry.paper.unauthorised)),
    ("ours: authorised", lambda row: _strict(row, _centred(row.owners) or row.owners)),
    ("ours: mean of others, without dlib's", lambda row: _strict(row, _centred(row.others))),
    ("pairs", lambda row: str(len(row.record.same))),
)
ACCEPTED: tuple[Column, ...] = (
    ("authorised, raw", lambda row: "; ".join(said(measures.tar(row.record, one)) for one in row.owners)),
    ("authorised, plain", lambda row: "; ".join(said(measures.clean_tar(row.record, one)) for one in row.owners)),
    ("mean of others, raw", lambda row: said(measures.mean_tar(row.record, row.others))),
    ("worst other, raw", lambda row: worst_other(row, ("none",))),
    ("worst other, any operation", worst_other),
    ("any other at all", lambda row: said(measures.union(row.record, row.others))),
    ("people", lambda row: str(sum(row.record.same))),
)

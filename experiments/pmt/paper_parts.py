"""Tables III, IV, V and X in docs/paper.md: what each part of the method does, beside the paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paper_cells import LEFT, RANKED, area_said, areas, lines, printed, said, table, worst_other

from facemin.experiments import measures

if TYPE_CHECKING:
    from paper_cells import Column, Line

    from facemin.experiments.layouts.groups import Group

PARTS = {"table3": "III, start", "table4": "IV, T and layers", "table5": "V, kernel"}
ABLATION = {"table10": "X, ablation"}
UP_BOUND, UP_KAPPA = 0.1, 0.3
"""Of Table X."""


def parts_tables(groups: dict[str, Group]) -> str:
    """The paper's own measure, then who accepts and who ranks at thresholds that mean something."""
    every = lines(groups, {**PARTS, **ABLATION})
    return "\n\n".join(
        [
            "Strict accuracy at 0.2, the paper's measure. Tables III, IV and V, where the paper has AgeDB-30:",
            table(lines(groups, PARTS), (*LEFT, *STRICT, PAIRS)),
            "Table X, where it has LFW, with UP at noise 0.1 and threshold 0.3:",
            table(lines(groups, ABLATION), (LEFT[1], *STRICT, *UP, PAIRS)),
            "Who accepts, at FAR 1e-3:",
            table(every, (*LEFT, *ACCEPTED)),
            "Who ranks, and who takes different people for one:",
            table(every, (*LEFT, ("AUC: opponent, raw", _opponent_area), *RANKED)),
        ]
    )


def _opponent(row: Line) -> str:
    assert row.record.experiment.opponent is not None
    return row.record.experiment.opponent


def _opponent_area(row: Line) -> str:
    return area_said(areas(row, (_opponent(row),), "none")[0])


def _strict(row: Line, judge: str) -> str:
    return said(measures.strict(row.record, judge, kappa=row.record.experiment.kappa))


STRICT: tuple[Column, ...] = (
    ("paper: authorised", lambda row: printed(row.entry.paper.authorised)),
    ("paper: unauthorised", lambda row: printed(row.entry.paper.unauthorised)),
    ("ours: authorised", lambda row: _strict(row, row.owners[0])),
    ("ours: opponent", lambda row: _strict(row, _opponent(row))),
)
UP: tuple[Column, ...] = (
    ("paper: UP", lambda row: printed(row.entry.paper.up)),
    (
        "ours: UP",
        lambda row: said(measures.utility_privacy(row.record, row.owners[0], bound=UP_BOUND, kappa=UP_KAPPA)),
    ),
)
PAIRS: Column = ("pairs", lambda row: str(len(row.record.same)))
ACCEPTED: tuple[Column, ...] = (
    ("authorised, raw", lambda row: said(measures.tar(row.record, row.owners[0]))),
    ("authorised, plain", lambda row: said(measures.clean_tar(row.record, row.owners[0]))),
    ("opponent, raw", lambda row: said(measures.tar(row.record, _opponent(row)))),
    ("worst other, any operation", worst_other),
    ("any other at all", lambda row: said(measures.union(row.record, row.others))),
    ("people", lambda row: str(sum(row.record.same))),
)

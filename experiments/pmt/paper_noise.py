"""UP and its utility by noise and threshold, Figures 4, 5, 8, 10 and 11, in docs/paper.md."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from paper_cells import lines, said, table

from facemin.experiments import measures
from facemin.experiments.common import table_head

if TYPE_CHECKING:
    from paper_cells import Column, Line

    from facemin.experiments.layouts.groups import Group

CURVES = {"figure4": "4, kernel", "figure5": "5, T", "figure8": "8, noise", "figure11": "11, enhancement"}
BOUNDS = (0.0, 0.1, 0.3)
LOW, HIGH = 0.2, 0.5
"""Thresholds: what the paper takes elsewhere, and what it takes in Figures 8 and 9."""
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)


def up_tables(groups: dict[str, Group]) -> str:
    """UP and its utility at some bounds of noise, then Figure 10's utility by threshold."""
    columns: list[Column] = [
        ("figure", lambda row: row.table),
        ("series", lambda row: row.entry.name),
        *((f"UP, noise {bound:g}, at {LOW:g}", partial(_up_said, bound=bound)) for bound in BOUNDS),
        *((f"utility, noise {bound:g}, at {HIGH:g}", partial(_utility_said, bound=bound)) for bound in BOUNDS),
    ]
    return "\n\n".join(
        [
            table(lines(groups, CURVES), columns),
            "Utility by Figure 10's thresholds:",
            thresholds_table(lines(groups, {"figure10": "10"})),
        ]
    )


def thresholds_table(rows: list[Line]) -> str:
    """Utility of each series without noise and with a little, a row a threshold."""
    bounds = BOUNDS[:2]
    head = [f"{row.entry.name}, noise {bound:g}" for row in rows for bound in bounds]
    made = table_head("threshold", *head)
    for kappa in THRESHOLDS:
        cells = [_utility_said(row, bound=bound, kappa=kappa) for row in rows for bound in bounds]
        made.append(f"| {kappa:g} | {' | '.join(cells)} |")
    return "\n".join(made)


def _up_said(row: Line, *, bound: float) -> str:
    return said(measures.utility_privacy(row.record, row.owners[0], bound=bound, kappa=LOW))


def _utility_said(row: Line, *, bound: float, kappa: float = HIGH) -> str:
    found = measures.trades(row.record, row.owners[0], kappa=kappa)
    return said(next(trade.utility for trade in found if trade.bound == bound))

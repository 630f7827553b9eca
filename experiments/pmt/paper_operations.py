"""What the paper leaves open, varied, for docs/paper.md; what a provider does to uploads, for docs/experiments.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paper_cells import across, lines, said, table, worst_other

from facemin.experiments import measures
from facemin.experiments.common import table_head
from facemin.experiments.layouts.entries import with_interval

if TYPE_CHECKING:
    from paper_cells import Column, Line

    from facemin.evaluation.judge import Share
    from facemin.experiments.layouts.groups import Group

METHODS = {"dlib, T": "robust (the default)", "casia, T": "robust", "vggface2, no T": "without T"}
"""What the cells of operations.toml are called."""


def readings_table(groups: dict[str, Group]) -> str:
    """What is varied, what the authorised keeps, and the worst other."""
    columns: list[Column] = [
        ("varied", lambda row: row.entry.name),
        ("authorised, raw", lambda row: said(measures.tar(row.record, row.owners[0]))),
        ("worst other, raw or after a blur", worst_other),
        ("any other at all", lambda row: said(measures.union(row.record, row.others))),
        ("people", lambda row: str(sum(row.record.same))),
    ]
    return table(lines(groups, {"readings": "readings"}), columns)


def operations_table(groups: dict[str, Group]) -> str:
    """A column a key, a row an operation; for docs/experiments.md."""
    rows = lines(groups, {"operations": "operations"})
    made = table_head("TAR", *(f"{row.owners[0]}, {METHODS[row.entry.name]}" for row in rows))
    made.append(across("plain", (_said(measures.clean_tar(row.record, row.owners[0])) for row in rows)))
    for name in measures.operations(rows[0].record):
        words = "protected" if name == "none" else f"protected, {name}"
        made.append(across(words, (_said(measures.tar(row.record, row.owners[0], name)) for row in rows)))
    made.append(across("worst other, any operation", map(_worst_named, rows)))
    made.append(across("any other at all", (_said(measures.union(row.record, row.others)) for row in rows)))
    made.append(across("people", (str(sum(row.record.same)) for row in rows)))
    made.append(across("mean steps", (f"{measures.mean_steps(row.record):.0f}" for row in rows)))
    return "\n".join(made)


def _said(share: Share) -> str:
    """With three decimals, for many pairs."""
    return with_interval(share.value, share.low, share.high, digits=3)


def _worst_named(row: Line) -> str:
    found = measures.worst(row.record, row.others)
    assert found is not None
    return f"{_said(found.share)}: {found.judge}, {found.operation}"

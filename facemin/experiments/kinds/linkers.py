"""Report layout of linkers under pseudonyms, beside the same ones where there is no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from facemin.experiments.kinds.adversaries import LEVEL
from facemin.experiments.layouts.entries import interval_entry
from facemin.experiments.layouts.sections import Section
from facemin.report.page import Entry, Table, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    Record = dict[str, Any]

COMMAND = "python experiments/pseudonym/linkers.py --shared DIR --cache DIR"


def as_linkers(records: Sequence[Record]) -> list[Section]:
    """Who links uploads to faces, with a secret and without."""
    tables = records[-1]["tables"]
    remark = (
        "Uploads of people against their plain photos. Area with its interval over people (chance 0.5), ranks beside "
        "chance, linkability D_sys beside the 95 % point of its permutations, and the least p of all three after Holm "
        "over the whole table."
    )
    parts = [table(*_table(name, rows)) for name, rows in tables.items()]
    return [Section("Linkers under pseudonyms", "", said(tables), parts, COMMAND, remark)]


def said(tables: dict[str, list[Record]]) -> str:
    """The strongest linker of each table, and whether any of it is above chance."""
    words = []
    for name, rows in tables.items():
        best = max(rows, key=lambda row: row["auc"])
        low, high = best["interval"]
        above = sum(min(row["holm"].values()) < LEVEL for row in rows)
        words.append(
            f"{name}: {above} of {len(rows)} linkers are above chance once corrected for all, the highest AUC is "
            f"{best['auc']:.3f} ({low:.3f} to {high:.3f}; {best['attacker']}; {best['people']} people)"
        )
    return "\n".join(f"{one[:1].upper()}{one[1:]}." for one in words)


def _table(name: str, rows: Sequence[Record]) -> Table:
    head = ["linker", "row", "upload", "AUC", "rank 1", "rank 10", "D_sys", "p (Holm)", "n"]
    lines: list[list[Entry | str]] = [
        [
            row["attacker"],
            row["row"],
            row["upload"],
            interval_entry(row["auc"], row["interval"], digits=3),
            *(_rank(row[f"rank {k}"]) for k in (1, 10)),
            Entry(f"{row['d_sys']:.3f}", f"null {row['d_sys_null']:.3f}"),
            f"{min(row['holm'].values()):.2g}",
            str(row["people"]),
        ]
        for row in sorted(rows, key=lambda row: -row["auc"])
    ]
    return Table(name[:1].upper() + name[1:], head, lines)


def _rank(found: Record) -> Entry:
    return interval_entry(
        found["share"], found["interval of one draw"], digits=3, below=f"chance {found['chance']:.3f}"
    )

"""The table adversary by protection in docs/attacks.md, from the records of adversaries.py alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from page import accepted, linked

from facemin.experiments.common import table_head
from facemin.experiments.kinds.adversaries import COLLUSION, COLUMNS, MEANT, generic, over_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facemin.experiments.kinds.adversaries import Records

SHORT = {
    "the key itself": "the provider's key",
    "a recogniser off the shelf": "a recogniser off the shelf",
    "the same, centred": "the same, the mean of 64 protected images taken away",
    "ridge map": "a map taught by pairs of other people",
    "student of plain faces made poor": "a map taught by plain faces alone, made poor in four ways",
    "student of plain faces made poor, centred": "the same, less the mean of 64 protected images",
    "protected against protected": "two protected photos of a person against each other",
}
"""Adversaries of the README's table, in words."""


def table(records: Records) -> str:
    """The records as Markdown."""
    kept = {name: records[name] for name in (*COLUMNS, COLLUSION) if name in records}
    adjusted = over_all(kept)
    columns = [name for name in COLUMNS if name in kept]
    found = {name: {generic(row["adversary"]): row for row in kept[name]["rows"]} for name in kept}
    lines = table_head("row", "adversary", *(kept[name]["words"] for name in columns))
    for adversary in dict.fromkeys(adversary for name in columns for adversary in found[name]):
        row = next(found[name][adversary]["row"] for name in columns if adversary in found[name])
        cells = [cell(found[name].get(adversary), adjusted[name], row) for name in columns]
        lines.append(f"| {row} | {adversary} | {' | '.join(cells)} |")
    if COLLUSION in kept:
        lines += ["", f"Two providers put together, {kept[COLLUSION]['words']}:", ""]
        lines += table_head("row", "adversary", "both uploads of a person")
        for adversary, row in found[COLLUSION].items():
            lines.append(f"| {row['row']} | {adversary} | {cell(row, adjusted[COLLUSION], row['row'])} |")
    lines += ["", f"Holm is over all {sum(map(len, adjusted.values()))} forms of all columns."]
    return "\n".join(lines) + "\n"


def short(records: Records) -> str:
    """The README's table: some adversaries, and of each cell the area with its interval."""
    columns = [name for name in COLUMNS if name in records]
    found = [{generic(row["adversary"]): row for row in records[name]["rows"]} for name in columns]
    lines = table_head("somebody who has, AUC", *(records[name]["words"] for name in columns))
    for adversary, words in SHORT.items():
        rows = [each.get(adversary) for each in found]
        cells = ["-" if row is None else "{:.2f} [{:.2f}, {:.2f}]".format(row["auc"], *row["interval"]) for row in rows]
        lines.append(f"| {words} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(row: dict[str, Any] | None, adjusted: Sequence[float], threat: str) -> str:
    """AUC with its interval, ranks beside chance, the adjusted p, and TAR at a threshold of the other people."""
    if row is None:
        return "no secret" if threat == MEANT else "not measured"
    pairs = f"{row['adversary'].rpartition(', ')[2]}: " if row["adversary"].endswith(" pairs") else ""
    return f"{pairs}{linked(row, adjusted[row['place']])}; {accepted(row['scores'])}"

"""Report layout of adversary by protection: how well each ranks the right person first, corrected for all attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from facemin.experiments.layouts.entries import UNRUN, interval_entry
from facemin.experiments.layouts.sections import Section
from facemin.metrics import holm, left_out_tar
from facemin.report.page import Entry, Table, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Record = dict[str, Any]
    Records = Mapping[str, Record]

COLUMNS = ("pmt", "robust", "low-frequency", "pseudonym")
COMMAND = f"python experiments/attacks/adversaries.py {' '.join(COLUMNS)} --shared DIR --cache DIR"
COLLUSION = "collusion"
FAR = 1e-2
"""Of the impostor scores that the people left out give."""
MEANT = "T6"
"""The row of uploads that are meant to be linked."""


def as_adversaries(records: Sequence[Record]) -> list[Section]:
    """Everybody who tries, by what protects."""
    found = protections(records)
    kept = {name: found[name] for name in (*COLUMNS, COLLUSION) if name in found}
    adjusted = over_all(kept)
    columns = {name: kept[name] for name in COLUMNS if name in kept}
    parts = [table(*_table(columns, adjusted))]
    if COLLUSION in kept:
        parts.append(table(*_table({COLLUSION: kept[COLLUSION]}, adjusted)))
    forms = sum(map(len, adjusted.values()))
    remark = (
        "AUC with its interval over people (chance 0.5), ranks one and ten beside chance, TAR at a threshold "
        f"of everybody else's at FAR {FAR:g}, and p of the AUC among all {forms} forms of all adversaries (Holm); of "
        "an adversary's forms the highest AUC stands there, so that chance alone gives a little more than 0.5."
    )
    return [Section("Adversary by protection", "", said(columns), parts, COMMAND, remark)]


def protections(records: Iterable[Record]) -> dict[str, Record]:
    """The latest record of each protection; a row's "place" is that of its form's p."""
    found = {record["protection"]: record for record in records}
    for record in found.values():
        for place, row in enumerate(record["rows"]):
            row.setdefault("place", place)
    return found


def over_all(kept: Records) -> dict[str, list[float]]:
    """Every form's p, adjusted for all forms of all protections."""
    each = {name: record["p_values"] for name, record in kept.items()}
    adjusted = iter(holm([p for values in each.values() for p in values]).tolist())
    return {name: [next(adjusted) for _ in values] for name, values in each.items()}


def generic(name: str) -> str:
    """An adversary's name without how many pairs it had, which stands in the cell."""
    return name.rpartition(", ")[0] if name.endswith(" pairs") else name


def said(columns: Records) -> str:
    """The strongest adversary without the key and with it, by protection."""
    words = []
    for record in columns.values():
        rows = [row for row in record["rows"] if row["row"] != MEANT]
        strongest = [
            (who, max(some, key=lambda row: row["auc"]))
            for who, some in (
                ("without the key", [row for row in rows if "key" not in row["knows"]]),
                ("with it", [row for row in rows if "key" in row["knows"]]),
            )
            if some
        ]
        each = [
            f"{who} AUC {row['auc']:.2f} ({row['interval'][0]:.2f} to {row['interval'][1]:.2f}; {row['adversary']})"
            for who, row in strongest
        ]
        words.append(f"{record['words']}: {', '.join(each)}")
    people = sorted({row["n"] for record in columns.values() for row in record["rows"]})
    return "\n".join([f"The strongest of all, chance 0.5, at most {people[-1]} people.", *(f"{one}." for one in words)])


def _table(columns: Records, adjusted: Mapping[str, Sequence[float]]) -> Table:
    found: dict[str, dict[str, list[Record]]] = {}
    for name, record in columns.items():
        for row in record["rows"]:
            found.setdefault(generic(row["adversary"]), {}).setdefault(name, []).append(row)
    rows: list[list[Entry | str]] = []
    for adversary, by_name in found.items():
        threat = next(row["row"] for some in by_name.values() for row in some)
        cells = [_cell(by_name[name][-1], adjusted[name]) if name in by_name else _none(threat) for name in columns]
        rows.append([adversary, threat, *cells])
    caption = " and ".join(record["words"] for record in columns.values()) if len(columns) == 1 else "All adversaries"
    return Table(caption, ["adversary", "row", *(record["words"] for record in columns.values())], rows)


def _cell(row: Record, adjusted: Sequence[float]) -> Entry:
    ranks = ", ".join(f"rank {k} {share:.2f} (chance {chance:.2f})" for k, (share, chance) in row["ranks"].items())
    got = left_out_tar(row["scores"], far=FAR)
    tar = f"TAR {got.tar:.2f} ({got.interval.low:.2f} to {got.interval.high:.2f})"
    more = [ranks, tar, f"n {row['n']}", f"Holm {adjusted[row['place']]:.2g}"]
    if row["adversary"].endswith(" pairs"):
        more.insert(0, row["adversary"].rpartition(", ")[2])
    return interval_entry(row["auc"], row["interval"], below="; ".join(more))


def _none(threat: str) -> Entry:
    return Entry("no secret") if threat == MEANT else UNRUN

"""Report layout of adversary by protection: how well each ranks the right person first, corrected for all attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from facemin.experiments.layouts.entries import UNRUN, interval_entry, with_interval
from facemin.experiments.layouts.sections import Section
from facemin.metrics import holm, left_out_tar
from facemin.report.page import Entry, Table, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Record = dict[str, Any]
    Records = Mapping[str, Record]

COLUMNS = ("pmt", "robust", "low-frequency", "pseudonym")
PAINTED = "pseudonym"
"""What the attacking script makes itself, so that its images are in no cache."""
_CACHED = " ".join(name for name in COLUMNS if name != PAINTED)
COMMAND = (
    f"python experiments/attacks/protections.py {_CACHED} --shared DIR --cache DIR && "
    f"python experiments/attacks/adversaries.py {' '.join(COLUMNS)} --collusion --shared DIR --cache DIR"
)
COLLUSION = "collusion"
FAR = 1e-2
"""Of the impostor scores that the people left out give."""
MEANT = "T6"
"""The row of uploads that are meant to be linked."""
LEVEL = 0.05


def as_adversaries(records: Sequence[Record]) -> list[Section]:
    """Everybody who tries, by what protects; nothing where nobody tried a protection that the table has."""
    found = protections(records)
    kept = {name: found[name] for name in (*COLUMNS, COLLUSION) if name in found}
    columns = {name: kept[name] for name in COLUMNS if name in kept}
    if not any(record["rows"] for record in columns.values()):
        return []
    adjusted = over_all(kept)
    parts = [table(*_table(columns, adjusted))]
    if COLLUSION in kept and kept[COLLUSION]["rows"]:
        parts.append(table(*_table({COLLUSION: kept[COLLUSION]}, adjusted)))
    forms = sum(map(len, adjusted.values()))
    remark = (
        "AUC with its interval over people (chance 0.5), ranks one and ten beside chance, TAR at a threshold "
        f"of everybody else's at FAR {FAR:g}, and p of the AUC among all {forms} forms of all adversaries (Holm); of "
        "an adversary's forms the highest AUC stands there, so that chance alone gives a little more than 0.5."
    )
    return [Section("Adversary by protection", "", said(columns, adjusted), parts, COMMAND, remark)]


def protections(records: Iterable[Record]) -> dict[str, Record]:
    """The latest record of each protection; a row's "place" is that of its form's p."""
    return {
        record["protection"]: record | {"rows": [{"place": place} | row for place, row in enumerate(record["rows"])]}
        for record in records
    }


def over_all(kept: Records) -> dict[str, list[float]]:
    """Every form's p, adjusted for all forms of all protections."""
    each = {name: record["p_values"] for name, record in kept.items()}
    adjusted = iter(holm([p for values in each.values() for p in values]).tolist())
    return {name: [next(adjusted) for _ in values] for name, values in each.items()}


def generic(name: str) -> str:
    """An adversary's name without how many pairs it had, which stands in the cell."""
    return name.rpartition(", ")[0] if name.endswith(" pairs") else name


def said(columns: Records, adjusted: Mapping[str, Sequence[float]]) -> str:
    """The strongest adversary by protection: without the key, with a network like the provider's, and with the key.

    Args:
        columns: by protection; some have rows.
        adjusted: as `over_all` has it.
    """
    words = []
    for name, record in columns.items():
        rows: dict[str, list[Record]] = {}
        for row in record["rows"]:
            if row["row"] != MEANT:
                rows.setdefault(_who(row["knows"]), []).append(row)
        each = [f"{who} {_strongest(rows[who], adjusted[name])}" for who in _WHO if who in rows]
        words.append(f"{record['words']}: {', '.join(each) or 'nobody tried'}.")
    people = max(row["n"] for record in columns.values() for row in record["rows"])
    forms = sum(map(len, adjusted.values()))
    start = (
        f"Of each the highest AUC above chance (0.5), or else the highest; at most {people} people. The highest of "
        "many forms exceeds 0.5 by chance alone: above it is what has a p among all "
        f"{forms} forms (Holm) below {LEVEL:g}."
    )
    return "\n".join([start, *words])


_SIBLING = "a network like the provider's"
_WHO = ("without the key", f"with {_SIBLING}", "with the key")


def _who(knows: str) -> str:
    """Which of `_WHO` somebody is, by what they know."""
    if _SIBLING in knows:
        return _WHO[1]
    return _WHO[2] if "key" in knows else _WHO[0]


def _strongest(rows: Sequence[Record], adjusted: Sequence[float]) -> str:
    """The highest AUC of those above chance; where none is, the highest, and that it is not."""
    row = max(rows, key=lambda row: (adjusted[row["place"]] < LEVEL, row["auc"]))
    low, high = row["interval"]
    p = adjusted[row["place"]]
    return f"AUC {row['auc']:.2f} ({low:.2f} to {high:.2f}; {row['adversary']}; {beside_chance(p)})"


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
    more = [ranks(row), f"TAR {tar(row['scores'])}", f"n {row['n']}", f"Holm {adjusted[row['place']]:.2g}"]
    if row["adversary"].endswith(" pairs"):
        more.insert(0, row["adversary"].rpartition(", ")[2])
    return interval_entry(row["auc"], row["interval"], below="; ".join(more))


def _none(threat: str) -> Entry:
    return Entry("no secret") if threat == MEANT else UNRUN


def ranks(row: Record) -> str:
    """Shares found among the first, beside chance."""
    return ", ".join(f"rank {k} {share:.2f} (chance {chance:.2f})" for k, (share, chance) in row["ranks"].items())


def tar(scores: Sequence[Sequence[float]]) -> str:
    """TAR with its interval, each person's threshold from the other people's scores."""
    got = left_out_tar(scores, far=FAR)
    return with_interval(got.tar, got.interval.low, got.interval.high)


def beside_chance(p: float) -> str:
    """An adjusted p, and whether it tells nothing from chance."""
    return f"Holm {p:.2g}" + ("" if p < LEVEL else ", not told from chance")

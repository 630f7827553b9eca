"""Report layout of a linker without the key by the number of pairs that teach it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from facemin.evaluation.judge import Share
from facemin.experiments.kinds.adversaries import beside_chance, ranks
from facemin.experiments.layouts import plots
from facemin.experiments.layouts.entries import UNRUN, interval_entry
from facemin.experiments.layouts.sections import Section
from facemin.metrics import holm
from facemin.report.page import Entry, Table, image, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Record = dict[str, Any]

COLUMNS = {
    "pseudonym": "one pass, a secret a person",
    "one-pass": "one pass, without a secret",
    "pmt": "PMT as published, five convolutions",
    "robust": "robust, without a secret",
    "low-frequency": "robust from low-frequency noise, without a secret",
}
COMMAND = (
    "python experiments/attacks/protections.py --shared DIR --cache DIR --train 2000 pmt robust && "
    "python experiments/attacks/protections.py --shared DIR --cache DIR --train 512 low-frequency && "
    "python experiments/attacks/pairs_curve.py --shared DIR && "
    "python experiments/attacks/pairs_curve.py --shared DIR --cache DIR pmt robust && "
    "python experiments/attacks/pairs_curve.py --shared DIR --cache DIR --counts 64 250 500 -- low-frequency"
)


class ChosenMap(NamedTuple):
    """The map that an attacker chooses, of those that so many pairs teach.

    Attributes:
        row: of the record.
        adjusted: p of its area among all maps of all images (Holm).
    """

    row: Record
    adjusted: float


def as_pairs(records: Sequence[Record]) -> list[Section]:
    """Curves over pairs, and their figures; nothing where no map was fitted."""
    found, maps = chosen(records)
    if not maps:
        return []
    curves = [
        plots.Curve(COLUMNS[name], tuple(map(float, each)), tuple(_share(one.row) for one in each.values()))
        for name, each in found.items()
    ]
    panel = plots.Panel("A linker without the key", "AUC (chance 0.5)", tuple(curves))
    picture = plots.curves([panel], xlabel="pairs of other people", title="AUC by pairs")
    remark = (
        "Nobody tested is among the pairs. AUC with its interval over people, ranks one and ten beside chance, and p "
        f"of the AUC among all {maps} maps (Holm). Of two maps the one that is nearer to the teacher on pairs held out."
    )
    parts = [image(picture, media="image/svg+xml", alt="AUC over pairs, a line each protection"), table(*_table(found))]
    return [Section("What pairs teach", "", said(found), parts, COMMAND, remark)]


def chosen(records: Sequence[Record]) -> tuple[dict[str, dict[int, ChosenMap]], int]:
    """The map chosen by images and number of pairs, of each images' latest record; and how many maps there are."""
    latest: dict[str, list[Record]] = {}
    for record in records:
        latest |= {images_of(row): [] for row in record["rows"]}
        for row in record["rows"]:
            latest[images_of(row)].append(row)
    rows = [(name, row) for name, each in latest.items() for row in each]
    adjusted = holm([row["p"] for _, row in rows]).tolist()
    found: dict[str, dict[int, ChosenMap]] = {name: {} for name in COLUMNS if name in latest}
    for (name, row), p in zip(rows, adjusted, strict=True):
        before = found[name].get(row["pairs"])
        # the attacker's own choice, on pairs held out
        if before is None or row.get("cosine", 0.0) > before.row.get("cosine", 0.0):
            found[name][row["pairs"]] = ChosenMap(row, p)
    return {name: dict(sorted(each.items())) for name, each in found.items()}, len(rows)


def images_of(row: Record) -> str:
    """Which images a row is of; of those painted in one pass it says only whether there was a secret."""
    if "images" in row:
        return str(row["images"])
    return "pseudonym" if row["secret"] else "one-pass"


def said(found: Mapping[str, Mapping[int, ChosenMap]]) -> str:
    """Of each protection the most pairs, and whether they teach anything."""
    words = []
    for name, each in found.items():
        count, (row, p) = max(each.items())
        low, high = row["interval"]
        area = f"{row['auc']:.2f} ({low:.2f} to {high:.2f}; {beside_chance(p)})"
        words.append(f"{COLUMNS[name]}: {count:,} pairs give an AUC of {area}.")
    return "\n".join(f"{one[:1].upper()}{one[1:]}" for one in words)


def _share(row: Record) -> Share:
    low, high = row["interval"]
    return Share(row["auc"], low, high, row["n"])


def _table(found: Mapping[str, Mapping[int, ChosenMap]]) -> Table:
    rows: list[list[Entry | str]] = [
        [f"{count:,}", *(_cell(each[count]) if count in each else UNRUN for each in found.values())]
        for count in sorted({count for each in found.values() for count in each})
    ]
    return Table("Linkers by pairs", ["pairs", *(COLUMNS[name] for name in found)], rows)


def _cell(one: ChosenMap) -> Entry:
    row, p = one
    return interval_entry(row["auc"], row["interval"], below=f"{ranks(row)}; n {row['n']}; Holm {p:.2g}")

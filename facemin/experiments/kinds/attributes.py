"""Report layout of attributes: PMT's Table VIII, and Figure 7 as what estimators read off each row's images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from facemin.evaluation.judge import Share
from facemin.experiments.layouts import plots
from facemin.experiments.layouts.entries import NONE, UNRUN, beside, interval_entry
from facemin.experiments.layouts.sections import Section
from facemin.experiments.store.documents import latest
from facemin.report.page import Entry, Table, image, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Record = dict[str, Any]
    Rows = Mapping[str, Sequence[Record]]

COMMAND = "python experiments/attacks/table8.py --shared DIR"
PLAIN = "plain"
ROWS = {PLAIN: "plain", "noise": "noise", "PMT": "PMT as published", "default": "facemin's default"}
SETS = {"lfw": "LFW", "utkface": "UTKFace"}
SHARES = ("cosine", "agreement", "accuracy")
YEARS = ("age_difference", "age_error")
PRINTED = ("cosine", "age_difference")
"""Measures of which the paper has figures."""
FLOORS = {
    "cosine": "cosine_of_another_person",
    "agreement": "agreement_of_commonest",
    "accuracy": "accuracy_of_commonest",
    "age_error": "age_error_of_median",
}
"""What stands for knowing no face, by measure; of a difference of ages there is none."""
PROBE = "probe"
"""How the names of linear probes begin, which read nothing behind a purifier."""

Place = tuple[str, str, str]
"""Attribute, who reads it, and the measure."""


def as_attributes(records: Sequence[Record]) -> list[Section]:
    """Table VIII and Figure 7."""
    sets = by_set(records)
    tables = [
        table(*made) for name, rows in sets.items() for made in (raw_table(name, rows), purified_table(name, rows))
    ]
    drawn = [
        image(_plot(name, rows), media="image/svg+xml", alt=f"attributes read off {SETS.get(name, name)}", wide=True)
        for name, rows in sets.items()
    ]
    remark = "Intervals of shares are Wilson's, of means by drawing people again. Who knows no face: the commonest "
    remark += "answer, the median age, another person's vector."
    shown = (
        "Its pictures show people, and are not here; how often estimators say of a row's images what they say of the "
    )
    shown += f"plain faces is, raw and behind the purifier behind which they do most. {_agreement(sets)}"
    return [
        Section("attributes that estimators read", "Table VIII", said(sets), tables, COMMAND, remark),
        Section("what estimators say of each row's images", "Figure 7", shown, drawn, COMMAND),
    ]


def by_set(records: Sequence[Record]) -> dict[str, dict[str, list[Record]]]:
    """Cells by set of faces and row; of what was measured twice the last."""
    sets: dict[str, dict[str, list[Record]]] = {}
    for record in latest(records, "set", "row"):
        sets.setdefault(record["set"], {})[record["row"]] = record["cells"]
    return sets


def raw_table(name: str, rows: Rows) -> Table:
    """Each measure of a set's images as they are sent, beside who knows no face and the paper's."""
    head = [
        "attribute, read by",
        "measure",
        "knowing no face",
        *ROWS.values(),
        "the paper's noise",
        "the paper's PMT",
        "n",
    ]
    lines: list[list[Entry | str]] = []
    for place in places(rows):
        found = {row: raw(rows, row, place) for row in ROWS}
        printed = [beside(_paper(found[row], place[2])) for row in ("noise", "PMT")]
        lines.append([*_words(rows, place), *(figure(found[row], place[2]) for row in ROWS), *printed, _n(rows, place)])
    return Table(f"{SETS.get(name, name)}, raw", head, lines)


def purified_table(name: str, rows: Rows) -> Table:
    """Each estimator's measures raw or behind a purifier, wherever most is read."""
    kept = [row for row in ROWS if row != PLAIN]
    head = ["attribute, read by", "measure", "knowing no face", *(ROWS[row] for row in kept), "n"]
    lines: list[list[Entry | str]] = []
    for place in places(rows):
        if not place[1].startswith(PROBE):
            found = [figure(most(rows, row, place), place[2], behind=True) for row in kept]
            lines.append([*_words(rows, place), *found, _n(rows, place)])
    tried = len({cell["purifier"] for cells in rows.values() for cell in cells} - {"none"})
    return Table(f"{SETS.get(name, name)}, raw or behind one of {tried} purifiers, wherever most is read", head, lines)


def said(sets: Mapping[str, Rows]) -> str:
    """How often each attribute of PMT's images, of the first set, is read as of the plain face; the best estimator."""
    name, rows = next(iter(sets.items()))
    best: dict[str, tuple[Place, Record]] = {}
    for place in places(rows):
        cell = most(rows, "PMT", place)
        if place[2] == "agreement" and cell is not None:
            before = best.get(place[0])
            if before is None or cell["agreement"]["value"] > before[1]["agreement"]["value"]:
                best[place[0]] = place, cell
    words = []
    for attribute, (place, cell) in best.items():
        now, then = raw(rows, "PMT", place), figure(cell, "agreement")
        start = "" if now is None else f"{figure(now, 'agreement').text} raw, "
        words.append(
            f"{attribute} {start}{then.text} ({then.below}) behind {cell['purifier']}, the commonest answer "
            f"{figure_of_floor(cell, 'agreement').text}"
        )
    if not words:
        return "PMT's images were not judged."
    people = next(iter(best.values()))[1]["agreement"]["n"]
    whose = f"Of {people} people of {SETS.get(name, name)}"
    return f"{whose}, estimators say of PMT's images what they say of the plain faces: {'; '.join(words)}."


def places(rows: Rows) -> list[Place]:
    """What was measured of any row, each once."""
    return list(
        dict.fromkeys(
            (cell["attribute"], cell["estimator"], measure)
            for row in reversed(list(ROWS))
            for cell in rows.get(row, ())
            for measure in (*SHARES, *YEARS)
            if measure in cell
        )
    )


def raw(rows: Rows, row: str, place: Place) -> Record | None:
    """The cell of a row's images as they are."""
    return next((cell for cell in _cells(rows, row, place) if cell["purifier"] == "none"), None)


def most(rows: Rows, row: str, place: Place) -> Record | None:
    """The cell, raw or behind a purifier, in which most is read."""
    best = min if place[2] in YEARS else max
    return best(_cells(rows, row, place), key=lambda cell: cell[place[2]]["value"], default=None)


def figure(cell: Record | None, measure: str, *, behind: bool = False) -> Entry:
    """With its interval, and with the purifier where asked for."""
    if cell is None:
        return UNRUN
    found = cell[measure]
    interval = found["low"], found["high"]
    return interval_entry(found["value"], interval, digits=_digits(measure), below=cell["purifier"] if behind else "")


def figure_of_floor(cell: Record, measure: str) -> Entry:
    """What somebody has who sees no face."""
    value = cell.get(FLOORS.get(measure, ""))
    if value is None:
        return NONE
    if isinstance(value, dict):
        return interval_entry(value["value"], (value["low"], value["high"]), digits=_digits(measure))
    return Entry(f"{value:.{_digits(measure)}f}")


def _agreement(sets: Mapping[str, Rows]) -> str:
    """Of the first set, by attribute and row, wherever most agreement is read."""
    name, rows = next(iter(sets.items()))
    words = []
    for attribute in dict.fromkeys(place[0] for place in places(rows) if place[2] == "agreement"):
        read = [place for place in places(rows) if (place[0], place[2]) == (attribute, "agreement")]
        shares = [
            (
                words_of_row,
                [cell["agreement"]["value"] for place in read if (cell := most(rows, row, place)) is not None],
            )
            for row, words_of_row in ROWS.items()
            if row != PLAIN
        ]
        words.append(f"{attribute} {', '.join(f'{max(some):.2f} ({row})' for row, some in shares if some)}")
    whose = f"{_n(rows, places(rows)[0])} people of {SETS.get(name, name)}"
    return f"Agreement at most, {whose}: {'; '.join(words)}."


def _plot(name: str, rows: Rows) -> bytes:
    seen = [place for place in places(rows) if place[2] == "agreement"]
    series: list[tuple[str, list[Share]]] = []
    for row in ROWS:
        if row != PLAIN:
            series.append((f"{ROWS[row]}, raw", [_share(raw(rows, row, place)) for place in seen]))
            series.append((f"{ROWS[row]}, most", [_share(most(rows, row, place)) for place in seen]))
    cells = [next(cell for row in rows for cell in _cells(rows, row, place)) for place in seen]
    floors = [float(cell["agreement_of_commonest"]) for cell in cells]
    series.append(("knowing no face", [Share(floor, floor, floor, 1) for floor in floors]))
    names = [f"{attribute}\n{estimator.removeprefix('attributes-')}" for attribute, estimator, _ in seen]
    return plots.bars(names, series, ylabel="says what it says of the plain face", title=SETS.get(name, name))


def _share(cell: Record | None) -> Share:
    if cell is None:
        return Share(math.nan, math.nan, math.nan, 0)
    found = cell["agreement"]
    return Share(found["value"], found["low"], found["high"], found["n"])


def _cells(rows: Rows, row: str, place: Place) -> list[Record]:
    attribute, estimator, measure = place
    return [
        cell
        for cell in rows.get(row, ())
        if (cell["attribute"], cell["estimator"]) == (attribute, estimator) and measure in cell
    ]


def _words(rows: Rows, place: Place) -> list[Entry]:
    attribute, estimator, measure = place
    cell = next(cell for row in rows for cell in _cells(rows, row, place))
    unit = ", years" if measure in YEARS else ""
    return [
        Entry(f"{attribute}, {estimator}"),
        Entry(measure.replace("_", " ") + unit, mark="text"),
        figure_of_floor(cell, measure),
    ]


def _n(rows: Rows, place: Place) -> str:
    return str(next(cell[place[2]]["n"] for row in rows for cell in _cells(rows, row, place)))


def _paper(cell: Record | None, measure: str) -> float | None:
    return None if cell is None or measure not in PRINTED else cell.get("paper")


def _digits(measure: str) -> int:
    return 1 if measure in YEARS else 2

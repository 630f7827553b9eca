"""Tables VI and VIII of PMT in docs/attacks.md, from the records of table6.py and table8.py alone.

python experiments/attacks/paper_tables.py
"""

from __future__ import annotations

from typing import Any

import torch
from page import read_lines, write_table

from facemin.experiments.common import RESULTS, script_parser, table_head, with_interval
from facemin.experiments.measures import mean
from facemin.metrics import wilson

RECORDS = RESULTS / "attacks"
ROWS = {"plain": "plain", "noise": "noise", "PMT": "PMT as published", "default": "facemin's default"}
SHARES = ("cosine", "agreement", "accuracy")
YEARS = ("age_difference", "age_error")
MEASURED = ("attribute, read by", "measure", "knowing no face")
SETS = {"lfw": "LFW", "utkface": "UTKFace"}
FLOORS = {
    "cosine": "cosine_of_another_person",
    "agreement": "agreement_of_commonest",
    "accuracy": "accuracy_of_commonest",
    "age_error": "age_error_of_median",
}
"""What stands for knowing no face, by measure; of a difference of ages there is none."""

Record = dict[str, Any]


def main() -> None:
    """Write both tables between their marks."""
    script_parser(__doc__, shared=False).parse_args()
    write_table("table6", "paper_tables.py", table6(read("table6")))
    write_table("table8", "paper_tables.py", table8(read("table8")))


def read(name: str) -> list[Record]:
    """Records of a file in its order; a later one of the same cell takes the place of an earlier one."""
    found: dict[tuple[str, ...], Record] = {}
    for record in read_lines(RECORDS / f"{name}.jsonl"):
        cell = tuple(str(record.get(field, "")) for field in ("row", "column", "set", "recogniser", "cut"))
        found[cell] = record
    return list(found.values())


def table6(records: list[Record]) -> str:
    """Reconstructions: likeness, and whether the authorised recogniser takes them for the person; two tables."""
    people = {len(record["found"]["samples"]["ssim"]) for record in records}
    likeness = table_head("what is attacked", "by", "SSIM", "the paper's", "PSNR, dB", "the paper's")
    recognised = table_head(
        "what is attacked",
        "by",
        "COS",
        "the paper's",
        "SRRA",
        "the paper's",
        "TAR, another photo",
        "TAR, the key's own",
    )
    for record in records:
        found, paper = record["found"], record.get("paper") or {}
        first = f"| {record['row']} | {record['column']} |"
        n = len(found["samples"]["ssim"])
        likeness.append(
            f"{first} {_mean(found, 'ssim')} | {_printed(paper.get('ssim'))} | {_mean(found, 'psnr', digits=1)} "
            f"| {_printed(paper.get('psnr'), digits=1)} |"
        )
        srra = with_interval(found["srra"], *wilson(round(found["srra"] * n), n))
        recognised.append(
            f"{first} {_mean(found, 'cos')} | {_printed(paper.get('cos'))} | {srra} | {_printed(paper.get('srra'))} "
            f"| {_tar(found)} | {_tar(found['authorised']) if 'authorised' in found else ''} |"
        )
    counts = " or ".join(map(str, sorted(people)))
    head = f"{counts} people in each row; intervals of means by drawing people again, of shares Wilson's."
    return "\n".join([head, "", *likeness, "", *recognised]) + "\n"


def table8(records: list[Record]) -> str:
    """Attributes: for each set each measure raw, and wherever most is read of it, purified or not."""
    by = {(record["set"], record["row"]): record for record in records}
    parts = []
    for name in dict.fromkeys(record["set"] for record in records):
        rows = {row: by[name, row]["cells"] for row in ROWS}
        head = f"{SETS[name]}, {by[name, 'default']['n']} people, raw:"
        behind = f"The same, raw or behind one of {_purifiers(rows)} purifiers, wherever most is read:"
        parts += [head, "", *_raw(rows), "", behind, "", *_purified(rows), ""]
    return "\n".join(parts)


def _raw(rows: dict[str, list[Record]]) -> list[str]:
    lines = table_head(*MEASURED, *ROWS.values(), "the paper's noise", "the paper's PMT")
    for attribute, estimator, measure in _measured(rows):
        cells = {row: _cells(rows[row], attribute, estimator, measure) for row in ROWS}
        found = {row: next((cell for cell in some if cell["purifier"] == "none"), None) for row, some in cells.items()}
        beside = measure in ("cosine", "age_difference") or None
        theirs = [_printed(beside and (found[row] or {}).get("paper")) for row in ("noise", "PMT")]
        figures = [_figure(found[row], measure) for row in ROWS]
        lines.append(f"| {_words(cells['default'], attribute, estimator, measure)} | {' | '.join(figures + theirs)} |")
    return lines


def _purified(rows: dict[str, list[Record]]) -> list[str]:
    lines = table_head(*MEASURED, *(words for row, words in ROWS.items() if row != "plain"))
    for attribute, estimator, measure in _measured(rows):
        if estimator.startswith("probe"):
            continue
        cells = {row: _cells(rows[row], attribute, estimator, measure) for row in ROWS if row != "plain"}
        best = min if measure in YEARS else max
        worst = {row: best(some, key=lambda cell: cell[measure]["value"]) for row, some in cells.items()}
        figures = [f"{_figure(cell, measure)}, {cell['purifier']}" for cell in worst.values()]
        lines.append(f"| {_words(cells['default'], attribute, estimator, measure)} | {' | '.join(figures)} |")
    return lines


def _measured(rows: dict[str, list[Record]]) -> list[tuple[str, str, str]]:
    """Attribute, estimator and measure, each once."""
    return list(
        dict.fromkeys(
            (cell["attribute"], cell["estimator"], measure)
            for cell in rows["default"]
            for measure in (*SHARES, *YEARS)
            if measure in cell
        )
    )


def _cells(cells: list[Record], attribute: str, estimator: str, measure: str) -> list[Record]:
    wanted = (attribute, estimator)
    return [cell for cell in cells if (cell["attribute"], cell["estimator"]) == wanted and measure in cell]


def _purifiers(rows: dict[str, list[Record]]) -> int:
    return len({cell["purifier"] for cell in rows["default"]} - {"none"})


def _words(cells: list[Record], attribute: str, estimator: str, measure: str) -> str:
    """What is measured, and what somebody has who sees no face."""
    unit = ", years" if measure in YEARS else ""
    return f"{attribute}, {estimator} | {measure.replace('_', ' ')}{unit} | {_floor(cells[0], measure)}"


def _figure(cell: Record | None, measure: str) -> str:
    """With its interval; nothing where there is no such cell."""
    return "" if cell is None else _share(cell[measure], 1 if measure in YEARS else 2)


def _floor(cell: Record, measure: str) -> str:
    value = cell.get(FLOORS.get(measure, ""))
    digits = 1 if measure in YEARS else 2
    return _share(value, digits) if isinstance(value, dict) else _printed(value, digits=digits)


def _mean(found: Record, name: str, *, digits: int = 2) -> str:
    """Over people, with the interval when they are drawn again."""
    share = mean(torch.tensor(found["samples"][name], dtype=torch.float64))
    return with_interval(share.value, share.low, share.high, digits=digits)


def _tar(found: Record) -> str:
    """How many are accepted as the person of another photo."""
    tar = found["tar_other_photo"]
    return with_interval(tar["tar"], tar["low"], tar["high"])


def _share(share: Record, digits: int) -> str:
    return with_interval(share["value"], share["low"], share["high"], digits=digits)


def _printed(value: float | None, *, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


if __name__ == "__main__":
    main()

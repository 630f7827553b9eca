"""Tables VI and VIII of PMT in docs/attacks.md, from the records of table6.py and table8.py alone.

python experiments/attacks/paper_tables.py
"""

from __future__ import annotations

from typing import Any

from page import read_lines, write_table

from facemin.experiments.common import RESULTS, script_parser, table_head

RECORDS = RESULTS / "attacks"
ROWS = {"plain": "plain", "noise": "noise", "PMT": "PMT as published", "default": "facemin's default"}
SHARES = ("cosine", "agreement", "accuracy")
YEARS = ("age_difference", "age_error")

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
    """Reconstructions: likeness, and whether the authorised recogniser takes them for the person."""
    likeness = ("SSIM", "PSNR, dB", "COS", "SRRA", "TAR, another photo", "the paper's SSIM, PSNR, COS")
    lines = table_head("what is attacked", "by", *likeness)
    for record in records:
        found, paper = record["found"], record.get("paper")
        tar = found["tar_other_photo"]
        theirs = f"{paper['ssim']:.2f}, {paper['psnr']:.1f}, {paper['cos']:.2f}" if paper else ""
        lines.append(
            f"| {record['row']} | {record['column']} | {found['ssim']:.2f} | {found['psnr']:.1f} | {found['cos']:.2f} "
            f"| {found['srra']:.2f} | {tar['tar']:.2f} ({tar['low']:.2f} to {tar['high']:.2f}) | {theirs} |"
        )
    return "\n".join(lines) + "\n"


def table8(records: list[Record]) -> str:
    """Attributes: each measure raw and, after an arrow, behind the purifier after which most is read."""
    by = {(record["set"], record["row"]): record for record in records}
    sets = list(dict.fromkeys(record["set"] for record in records))
    measured = ("set", "attribute, read by", "measure", "knowing no face")
    lines = table_head(*measured, *ROWS.values(), "the paper's PMT")
    for name in sets:
        rows = {row: by[name, row]["cells"] for row in ROWS}
        seen = dict.fromkeys(
            (cell["attribute"], cell["estimator"], measure)
            for cell in rows["default"]
            for measure in (*SHARES, *YEARS)
            if measure in cell
        )
        for attribute, estimator, measure in seen:
            cells = {row: [cell for cell in rows[row] if _is(cell, attribute, estimator, measure)] for row in ROWS}
            paper = next((cell["paper"] for cell in cells["PMT"] if measure in ("cosine", "age_difference")), None)
            entries = [_entry(cells[row], measure) for row in ROWS]
            theirs = "" if paper is None else f"{paper:.2f}"
            floor = _floor(cells["default"][0], measure)
            words = measure.replace("_", " ") + (", years" if measure in YEARS else "")
            lines.append(
                f"| {name} | {attribute}, {estimator} | {words} | {floor} | {' | '.join(entries)} | {theirs} |"
            )
    return "\n".join(lines) + "\n"


def _is(cell: Record, attribute: str, estimator: str, measure: str) -> bool:
    return (cell["attribute"], cell["estimator"]) == (attribute, estimator) and measure in cell


def _entry(cells: list[Record], measure: str) -> str:
    """Raw, and behind the worst purifier where that says more."""
    if not cells:
        return ""
    best = min if measure in YEARS else max
    raw = next(cell for cell in cells if cell["purifier"] == "none")[measure]["value"]
    worst = best(cells, key=lambda cell: cell[measure]["value"])
    digits = 1 if measure in YEARS else 2
    after = "" if worst["purifier"] == "none" else f" → {worst[measure]['value']:.{digits}f} ({worst['purifier']})"
    return f"{raw:.{digits}f}{after}"


def _floor(cell: Record, measure: str) -> str:
    floors = {
        "cosine": "cosine_of_another_person",
        "agreement": "agreement_of_commonest",
        "accuracy": "accuracy_of_commonest",
        "age_error": "age_error_of_median",
    }
    value = cell.get(floors.get(measure, ""))
    if value is None:
        return ""
    number = value["value"] if isinstance(value, dict) else value
    return f"{number:.{1 if measure in YEARS else 2}f}"


if __name__ == "__main__":
    main()

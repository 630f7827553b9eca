"""Tables of attacks on painted images in docs/attacks.md, from the records of painted_images.py alone.

python experiments/attacks/painted_table.py
"""

from __future__ import annotations

from typing import Any

from page import read_lines, write_table
from painted_images import RECORDS, SENT, TRAINED, WHITE_BOX

from facemin.experiments.common import script_parser, table_head

Cell = dict[str, Any]


def main() -> None:
    """Write both tables between their marks."""
    script_parser(__doc__, shared=False).parse_args()
    records = {record["secret"]: record for record in read_lines(RECORDS)}
    write_table("painted", "painted_table.py", table(records))


def table(records: dict[bool, Cell]) -> str:
    """The records as Markdown."""
    lines = table_head(
        "attacker",
        "with a secret a person: SSIM less the floor's",
        "whose it is, best of four linkers: AUC, found first, Holm",
        "without a secret: SSIM less the floor's",
        "AUC, found first, Holm",
    )
    kept = {
        secret: {cell["attacker"]: cell for cell in record["reconstructions"]} for secret, record in records.items()
    }
    for name in (SENT, *TRAINED.values(), WHITE_BOX):
        found = [kept.get(secret, {}).get(name) for secret in (True, False)]
        lines.append(f"| {name} | {' | '.join(reconstructed(cell) for cell in found)} |")
    columns = ("estimator", "attribute", "with a secret a person", "without a secret", "knowing no face")
    lines += ["", *table_head(*columns)]
    places = dict.fromkeys(
        (cell["estimator"], cell["attribute"]) for record in records.values() for cell in record["attributes"]
    )
    for place in places:
        found = [most_read(records[secret], place) if secret in records else None for secret in (True, False)]
        lines.append(f"| {place[0]} | {place[1]} | {' | '.join(map(read_cell, found))} | {floor_cell(found)} |")
    return "\n".join(lines) + "\n"


def reconstructed(cell: Cell | None) -> str:
    """How much above the floor, and the linker whose area is largest."""
    if cell is None:
        return "not measured | not measured"
    value, low, high = cell["above_floor"]
    linker, best = max(cell["linked"].items(), key=lambda item: item[1]["auc"])
    start, end = best["interval"]
    return (
        f"{value:+.3f} ({low:+.3f} to {high:+.3f}) | {best['auc']:.2f} ({start:.2f} to {end:.2f}), {best['first']} of "
        f"{cell['n']}, {best['holm']:.2g} ({linker})"
    )


def most_read(record: Cell, place: tuple[str, str]) -> Cell:
    """Of one attribute, what is read behind the purifier after which most is."""
    cells = [cell for cell in record["attributes"] if (cell["estimator"], cell["attribute"]) == place]
    return max(cells, key=lambda cell: cell["hits"] if "hits" in cell else -cell["years_off"][0])


def read_cell(cell: Cell | None) -> str:
    """Agreement with the plain face, or years off."""
    if cell is None:
        return "not measured"
    end = f"Holm {cell['holm']:.2g} ({cell['purifier']})"
    if "hits" in cell:
        low, high = cell["interval"]
        return f"{cell['hits']} of {cell['n']} ({low:.2f} to {high:.2f}), {end}"
    value, low, high = cell["years_off"]
    return f"{value:.1f} years off ({low:.1f} to {high:.1f}), {end}"


def floor_cell(cells: list[Cell | None]) -> str:
    """The commonest class, or the median age."""
    cell = next(cell for cell in cells if cell is not None)
    return f"{cell['commonest']:.2f}" if "hits" in cell else f"{cell['median_off'][0]:.1f} years off"


if __name__ == "__main__":
    main()

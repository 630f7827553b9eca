"""Report layout of reconstructions: PMT's Table VI, and Figure 6 as how alike its pictures are to the faces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from facemin.experiments import measures
from facemin.experiments.layouts import plots
from facemin.experiments.layouts.entries import NONE, beside, interval_entry
from facemin.experiments.layouts.sections import Section
from facemin.experiments.store.documents import latest
from facemin.metrics import wilson
from facemin.report.page import Entry, Table, image, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    Record = dict[str, Any]

COMMAND = "python experiments/attacks/table6.py --shared DIR"
FLOOR, AS_SENT = "floor", "as sent"
UNPROTECTED = ("unprotected", "random noise")
"""How rows begin that the paper compares its protection with, and those of other keys' plain features."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def as_reconstructions(records: Sequence[Record]) -> list[Section]:
    """Table VI and Figure 6."""
    cells = cells_of(records)
    pictures = [image(_plot(cells), media="image/svg+xml", alt="SSIM and COS of each row's reconstructions", wide=True)]
    spread = (
        f"Its pictures show people, and are not here; how alike {_people(cells)} people's reconstructions are to their "
        f"faces is, one point a person behind each box. {_spread(cells)}"
    )
    return [
        Section(
            "reconstruction, with attackers of ours beside the paper's",
            "Table VI",
            said(cells),
            [table(*likeness(cells)), table(*recognised(cells))],
            COMMAND,
            "Intervals of means are by drawing people again, of shares Wilson's. Rows of a floor know nothing of the "
            "face that is attacked.",
        ),
        Section("what reconstructions show", "Figure 6", spread, [*pictures, table(*quantiles(cells))], COMMAND),
    ]


def cells_of(records: Sequence[Record]) -> list[Record]:
    """The last record of each row and attack."""
    return latest(records, "row", "column")


def likeness(cells: Sequence[Record]) -> Table:
    """SSIM and PSNR beside the paper's."""
    rows: list[list[Entry | str]] = [
        [
            *_names(cell),
            _mean(cell, "ssim"),
            beside(_paper(cell, "ssim")),
            _mean(cell, "psnr", digits=1),
            beside(_paper(cell, "psnr"), digits=1),
            str(_n(cell)),
        ]
        for cell in cells
    ]
    return Table("Likeness", ["what is attacked", "by", "SSIM", "the paper's", "PSNR, dB", "the paper's", "n"], rows)


def recognised(cells: Sequence[Record]) -> Table:
    """Whether recognisers take reconstructions for the person, beside the paper's."""
    own = any("authorised" in cell["found"] for cell in cells)
    head = ["what is attacked", "by", "COS", "the paper's", "SRRA", "the paper's", "TAR, another photo of the person"]
    rows = []
    for cell in cells:
        found, n = cell["found"], _n(cell)
        row: list[Entry | str] = [*_names(cell), _mean(cell, "cos"), beside(_paper(cell, "cos"))]
        row += [interval_entry(found["srra"], wilson(round(found["srra"] * n), n)), beside(_paper(cell, "srra"))]
        row.append(_tar(found))
        if own:
            row.append(_tar(found["authorised"]) if "authorised" in found else NONE)
        rows.append([*row, str(n)])
    return Table("Recognition", [*head, *(["the same, by the key's own recogniser"] if own else []), "n"], rows)


def quantiles(cells: Sequence[Record]) -> Table:
    """Of SSIM and COS over people."""
    head = ["what is attacked", "by", *(f"{name}, {q:.0%}" for name in ("SSIM", "COS") for q in QUANTILES), "n"]
    rows: list[list[Entry | str]] = []
    for cell in cells:
        values = [torch.tensor(cell["found"]["samples"][name], dtype=torch.float64) for name in ("ssim", "cos")]
        at = torch.tensor(QUANTILES, dtype=torch.float64)
        rows.append([*_names(cell), *(f"{q:.2f}" for one in values for q in one.quantile(at).tolist()), str(_n(cell))])
    return Table("Quantiles over people", head, rows)


def said(cells: Sequence[Record]) -> str:
    """The best reconstruction of each protection, by SSIM, beside the best floor."""
    best: dict[str, Record] = {}
    for cell in cells:
        if cell["column"] not in (FLOOR, AS_SENT) and not cell["row"].startswith(UNPROTECTED):
            best[cell["row"]] = max(best.get(cell["row"], cell), cell, key=lambda one: one["found"]["ssim"])
    words = []
    for row, cell in best.items():
        ssim, tar = _mean(cell, "ssim"), _tar(cell["found"].get("authorised", cell["found"]))
        words.append(
            f"{row}: SSIM {ssim.text} ({ssim.below}) at most, by {cell['column']}; the authorised recogniser accepts "
            f"{tar.text} of the people in it ({tar.below}), against another photo"
        )
    floors = [cell for cell in cells if cell["column"] == FLOOR]
    if floors:
        floor = max(floors, key=lambda cell: cell["found"]["ssim"])
        words.append(f"Who knows nothing: SSIM {floor['found']['ssim']:.2f} ({floor['row']})")
    return "\n".join([f"{_people(cells)} people.", *(f"{one}." for one in words or ["No protection was attacked"])])


def _spread(cells: Sequence[Record]) -> str:
    attacked = [cell for cell in cells if cell["row"] == "PMT"]
    if not attacked:
        return "Nothing of PMT's was reconstructed."
    cell = max(attacked, key=lambda one: one["found"]["ssim"])
    values = sorted(cell["found"]["samples"]["ssim"])
    return f"PMT's by {cell['column']}: SSIM from {values[0]:.2f} to {values[-1]:.2f}."


def _plot(cells: Sequence[Record]) -> bytes:
    names = [", ".join(name.text for name in _names(cell)) for cell in cells]
    panels = [
        (title, [cell["found"]["samples"][field] for cell in cells])
        for title, field in (("SSIM", "ssim"), ("COS", "cos"))
    ]
    return plots.boxes(names, panels, title="Reconstructions and their faces, by row of Table VI")


def _names(cell: Record) -> list[Entry]:
    return [Entry(cell["row"]), Entry(cell["column"], mark="text")]


def _mean(cell: Record, name: str, *, digits: int = 2) -> Entry:
    """Over people, with the interval when they are drawn again."""
    share = measures.mean(torch.tensor(cell["found"]["samples"][name], dtype=torch.float64))
    return interval_entry(share.value, (share.low, share.high), digits=digits)


def _tar(found: Record) -> Entry:
    tar = found["tar_other_photo"]
    return interval_entry(tar["tar"], (tar["low"], tar["high"]))


def _paper(cell: Record, name: str) -> float | None:
    value = (cell.get("paper") or {}).get(name)
    return None if value is None else float(value)


def _n(cell: Record) -> int:
    return len(cell["found"]["samples"]["ssim"])


def _people(cells: Sequence[Record]) -> str:
    return " or ".join(map(str, sorted({_n(cell) for cell in cells})))

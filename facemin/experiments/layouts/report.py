"""HTML report of all records in a folder: a pure function of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from facemin.experiments.findings import OtherRecords, Shortfall, findings, other_records, shortfall
from facemin.experiments.layouts.groups import Group, grouped
from facemin.experiments.layouts.noise import over_noise
from facemin.experiments.layouts.pictures import ROWS, picture_path
from facemin.experiments.layouts.selectivity import as_selectivity
from facemin.experiments.layouts.tables import as_matrix, by_rows, over_operations, paper_table
from facemin.experiments.layouts.together import all_together
from facemin.experiments.store.records import is_ours, read_header, read_records
from facemin.report.page import document, image, paragraph, section
from facemin.runtime.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LAYOUTS: dict[str, Callable[[Group], list[str]]] = {
    "rows": by_rows,
    "matrix": as_matrix,
    "noise": over_noise,
    "selectivity": as_selectivity,
}
"""How an experiment may be shown."""

TITLE = "facemin: experiments"

INTRODUCTION = (
    "What was measured with facemin: how well the recogniser whose key was used still recognises protected faces, and "
    "how little every other one does. Each section is one experiment on one set of faces, made of the records in this "
    "folder alone; what has no record is said not to have been run, and is never a zero.",
    "A figure stands above its 95 % interval in small print. A blue cell is the authorised recogniser's: there, more "
    "is better; in every other column, less is better. Brown figures are the paper's own. TAR is the share of pairs of "
    "one person that are accepted, FAR that of pairs of different people, at a threshold measured on plain images.",
)


@dataclass(frozen=True, kw_only=True)
class ReportFile:
    """What a report holds.

    Attributes:
        file: the page.
        experiments: names, each with its data.
        passed_over: files of other records.
        shortfall: cells without a record, and those of changed code.
        others: what the files passed over hold.
    """

    file: Path
    experiments: tuple[str, ...]
    passed_over: tuple[Path, ...]
    shortfall: Shortfall
    others: tuple[OtherRecords, ...]


def write_report(folder: Path, *, out: Path | None = None, pictures: bool = False) -> ReportFile:
    """Write the report of a folder's records.

    Args:
        folder: of `.jsonl` files, also in folders below it.
        out: the file; `report.html` in the folder, or `report.with-pictures.html`, when None.
        pictures: put in the grids that runs have drawn.

    Raises:
        ValueError: no records, a line that is none, or matplotlib is missing.
        OSError: a file that cannot be read or written.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder of records, found none")
    files = sorted(folder.rglob("*.jsonl"))
    ours = [file for file in files if is_ours(file)]
    records = {file: read_records(file) for file in ours}
    if not any(records.values()):
        raise ValueError(f"{folder}: expected records of facemin bench run, found none in {len(files)} .jsonl files")
    groups = [(file.parent, group) for file, found in records.items() for group in grouped(found, read_header(file))]
    passed_over = tuple(file for file in files if file not in ours)
    others = other_records(folder, passed_over)
    parts = [findings([group for _, group in groups], others)]
    parts += [show(group, folder=place if pictures else None) for place, group in groups]
    file = out or folder / ("report.with-pictures.html" if pictures else "report.html")
    write_atomically(file, document(TITLE, parts, introduction=INTRODUCTION).encode())
    return ReportFile(
        file=file,
        experiments=tuple(f"{group.header.name} on {group.data}" for _, group in groups),
        passed_over=passed_over,
        shortfall=shortfall(group for _, group in groups),
        others=others,
    )


def show(group: Group, *, folder: Path | None = None) -> str:
    """A group as a section of the page.

    Args:
        group: of one experiment.
        folder: with the drawn faces; None leaves them out.
    """
    header = group.header
    said = (header.source and f"{header.source}.", header.remark, f"({header.name})")
    parts = [paragraph(" ".join(filter(None, said)))]
    if group.quick:
        parts.append(paragraph("A quick run: too few pairs and steps to say anything.", "warn"))
    parts += [*_measured_on(group), *LAYOUTS[header.layout](group)]
    together = all_together(group) if len(group.judges) > 1 and header.layout != "noise" else []
    parts += [*over_operations(group), *together, *paper_table(header)]
    if folder is not None:
        parts += _pictures(group, folder)
    parts += _provenance(group)
    return section(f"{header.title} - {group.data}{' (quick)' if group.quick else ''}", parts)


def _measured_on(group: Group) -> list[str]:
    record = group.records[0]
    at = next(iter(record.thresholds.values()))
    text = (
        f"{record.data.genuine} genuine and {record.data.impostor} impostor pairs of {record.data.source}. Each judge "
        f"at its own threshold for FAR {at.far:g}, measured on {at.impostor_pairs:,} impostor pairs of "
        f"{record.data.calibration_images} plain images of the other half of the list. Intervals are 95 %: Wilson's "
        "for shares, by drawing pairs again for means. Small print under a worst cell names the judge and operation."
    )
    if distance := record.resolved["distance"]:
        text += f" The distance is that of {distance}, which is not the paper's LPIPS."
    parts = [paragraph(text, "quiet")]
    weak = sorted({name for row in group.records for name, found in row.thresholds.items() if not found.meaningful})
    if weak:
        parts.append(
            paragraph(
                f"Too few impostor pairs for FAR {at.far:g}, so these thresholds admit none: {', '.join(weak)}.", "warn"
            )
        )
    return parts


def _pictures(group: Group, folder: Path) -> list[str]:
    parts = []
    for record in group.records:
        path = picture_path(folder, record)
        if path.is_file():
            parts.append(paragraph(f"{record.cell}: {', '.join(ROWS)}", "quiet"))
            parts.append(image(path.read_bytes(), media="image/png", alt=f"faces of {record.cell}", wide=True))
    return parts or [paragraph("No faces were drawn: facemin bench run FILE --pictures 6 draws them.", "quiet")]


def _provenance(group: Group) -> list[str]:
    commits = sorted({f"{(r.commit or 'unknown')[:12]}{' with changes' if r.dirty else ''}" for r in group.records})
    machines = sorted({f"{r.hardware.machine}, {r.hardware.device}" for r in group.records})
    precisions = sorted({str(r.resolved["method"].get("precision", "none")) for r in group.records})
    seconds = sum(record.spent.seconds for record in group.records)
    text = (
        f"{len(group.records)} of {len(group.rows)} cells measured; {seconds:,.0f} s of protecting; "
        f"code {', '.join(commits)}; "
        f"{', '.join(machines)}; gradients in {', '.join(precisions)}; {group.records[0].time.date()} to "
        f"{group.records[-1].time.date()}."
    )
    if group.superseded:
        text += f" {group.superseded} earlier records of other settings or of the same cells are not shown."
    return [paragraph(text, "quiet")]

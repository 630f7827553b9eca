"""HTML report of all records in a folder: a pure function of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from facemin.experiments.findings import RecordsOf, Shortfall, account, findings, records_of, shortfall
from facemin.experiments.kinds.registry import sections_of
from facemin.experiments.layouts.groups import Group, grouped
from facemin.experiments.layouts.noise import over_noise
from facemin.experiments.layouts.pictures import ROWS, picture_path
from facemin.experiments.layouts.places import order, place_of
from facemin.experiments.layouts.said import said
from facemin.experiments.layouts.sections import Section, laid_out
from facemin.experiments.layouts.selectivity import as_selectivity
from facemin.experiments.layouts.tables import as_matrix, by_rows, over_operations, paper_table
from facemin.experiments.layouts.together import all_together
from facemin.experiments.settings import LFW
from facemin.experiments.store.core_hours import spendings
from facemin.experiments.store.documents import read_documents
from facemin.experiments.store.records import read_header
from facemin.report.page import document, image, paragraph
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
    "how little everybody else gets. The paper's tables and figures stand first, in its order; each section is made of "
    "the records in this folder alone, and what has no record is said not to have been run, and is never a zero.",
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
        passed_over: files of records that have no section.
        shortfall: cells without a record, and those of changed code.
        files: what the records of each file say of the code.
    """

    file: Path
    experiments: tuple[str, ...]
    passed_over: tuple[Path, ...]
    shortfall: Shortfall
    files: tuple[RecordsOf, ...]


def write_report(folder: Path, *, out: Path | None = None, pictures: bool = False) -> ReportFile:
    """Write the report of a folder's records.

    Args:
        folder: of `.jsonl` and `.json` files, also in folders below it.
        out: the file; `report.html` in the folder, or `report.with-pictures.html`, when None.
        pictures: put in the grids that runs have drawn.

    Raises:
        ValueError: no records, a line that is none, or matplotlib is missing.
        OSError: a file that cannot be read or written.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder of records, found none")
    documents = read_documents(folder)
    groups = [
        (one.path.parent, group)
        for one in documents
        if one.ours
        for group in grouped(one.records, read_header(one.path))
    ]
    others = {one.name: sections_of(one) for one in documents if not one.ours}
    if not groups and not any(others.values()):
        raise ValueError(f"{folder}: expected records of experiments, found none in {len(documents)} files of JSON")
    shown = [(as_section(group, place, folder=place if pictures else None), group.quick) for place, group in groups]
    shown += [(made, False) for each in others.values() for made in each]
    shown.sort(key=lambda one: order(one[0].place, of_paper=one[0].of_paper))
    missed = shortfall(group for _, group in groups)
    files = tuple(records_of(one, shown=one.ours or bool(others[one.name])) for one in documents)
    spent = spendings(documents)
    opening = findings([made for made, quick in shown if not quick], missed, files, spent)
    file = out or folder / ("report.with-pictures.html" if pictures else "report.html")
    parts = [opening, *(laid_out(made) for made, _ in shown), account(files, spent)]
    write_atomically(file, document(TITLE, parts, introduction=INTRODUCTION).encode())
    return ReportFile(
        file=file,
        experiments=tuple(f"{group.header.name} on {group.data}" for _, group in groups),
        passed_over=tuple(one.path for one in documents if not one.ours and not others[one.name]),
        shortfall=missed,
        files=files,
    )


def as_section(group: Group, place: Path, *, folder: Path | None = None) -> Section:
    """A group as a section of the page.

    Args:
        group: of one experiment.
        place: the folder of its records, which is called as that of its experiment's file is.
        folder: with the drawn faces; None leaves them out.
    """
    header = group.header
    parts = [paragraph("A quick run: too few pairs and steps to say anything.", "warn")] if group.quick else []
    parts += [*_measured_on(group), *LAYOUTS[header.layout](group)]
    together = all_together(group) if len(group.judges) > 1 and header.layout != "noise" else []
    parts += [*over_operations(group), *together, *paper_table(header)]
    if folder is not None:
        parts += _pictures(group, folder)
    parts += _provenance(group)
    where = "--shared DIR" if group.data == LFW else f"--data {group.data} --models DIR"
    source = "" if place_of(header.source) or not header.source else f"{header.source}."
    return Section(
        title=f"{header.title} - {group.data}{' (quick)' if group.quick else ''}",
        place=place_of(header.source),
        said=said(group),
        parts=parts,
        command=f"facemin bench run experiments/{place.name}/{header.name}.toml {where}{' --quick' * group.quick}",
        remark=" ".join(filter(None, (source, header.remark, f"({header.name})"))),
        of_paper=header.source.startswith("PMT"),
    )


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

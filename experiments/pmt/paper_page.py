"""The tables and plots of docs/paper.md, made of records alone.

    python experiments/pmt/paper_page.py

Reads results/pmt; writes between the markers of docs/paper.md, and docs/paper-*.png. No face is in either.
"""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from facemin.experiments import measures
from facemin.experiments.common import REPOSITORY, RESULTS, replace_section, script_parser, table_head
from facemin.experiments.layouts.groups import Group, grouped
from facemin.experiments.store.records import is_ours, read_header, read_records
from facemin.metrics import holm
from facemin.runtime.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable

    from facemin.evaluation.judge import Share
    from facemin.experiments.store.records import Record

DOCS = REPOSITORY / "docs"
PAGE = DOCS / "paper.md"
BEGIN, END = "<!-- {}: begin, written by experiments/pmt/paper_page.py -->", "<!-- {}: end -->"
ROWS = {"table3": "III, start", "table4": "IV, T and layers", "table5": "V, kernel", "table10": "X, ablation"}
FIGURES = {
    "figure4": "Figure 4: length of the kernel",
    "figure5": "Figure 5: T",
    "figure8": "Figure 8: threshold 0.5",
    "figure9": "Figure 9: noise on features",
    "figure10": "Figure 10: threshold 0.5 of many",
    "figure11": "Figure 11: the enhancement",
}
DPI = 110
HOUR = 3600
LEAST = 1e-9
"""A smaller p is not told apart."""
AUTHORISED = 0.9
"""In the paper's matrix, what is below it is unauthorised."""


def main() -> None:
    """Write everything."""
    script_parser(__doc__, shared=False).parse_args()
    groups = {path.stem: read(path) for path in sorted((RESULTS / "pmt").glob("*.jsonl"))}
    convergence = RESULTS / "pmt" / "convergence.json"
    parts = {
        "parts": parts_table(groups),
        "matrix": matrix_table(groups, ("table7", "table7_600", "architecture", "table9")),
        "hours": hours(),
    }
    for name, body in parts.items():
        replace_section(PAGE, BEGIN.format(name), END.format(name), body)
    write_atomically(DOCS / "paper-transfer.png", png(transfer(groups)))
    if set(FIGURES) & set(groups):
        write_atomically(DOCS / "paper-noise.png", png(noise(groups)))
    if convergence.is_file():
        found = json.loads(convergence.read_text(encoding="utf-8"))
        write_atomically(DOCS / "paper-convergence.png", png(curves(found)))


def read(path: Path) -> Group:
    """The experiment's cells as they are now; of several sets of faces the last."""
    return grouped(read_records(path), read_header(path))[-1]


def parts_table(groups: dict[str, Group]) -> str:
    """What each part of the method does, beside the paper."""
    cosines = ("paper: authorised, unauthorised", "ours at 0.2: authorised, opponent")
    shares = ("TAR: authorised (plain)", "opponent, raw", "worst other, any operation", "any other at all")
    lines = table_head("table", "choice", *cosines, *shares, "pairs")
    for name, title in ROWS.items():
        if name not in groups:
            continue
        for entry, record in groups[name].rows:
            if record is None:
                lines.append(f"| {title} | {entry.name} | | not measured | | | | | |")
                continue
            opponent = record.experiment.opponent or ""
            own, kappa = measures.authorised(record)[0], record.experiment.kappa
            worst = measures.worst(record, measures.unauthorised(record))
            assert worst is not None
            cells = (
                f"{number(entry.paper.authorised)}, {number(entry.paper.unauthorised)}",
                f"{measures.strict(record, own, kappa=kappa).value:.2f}, "
                f"{measures.strict(record, opponent, kappa=kappa).value:.2f}",
                f"{said(measures.tar(record, own))} ({measures.clean_tar(record, own).value:.2f})",
                said(measures.tar(record, opponent)),
                f"{said(worst.share)}",
                f"{measures.union(record, measures.unauthorised(record)).value:.2f}",
                str(len(record.same)),
            )
            lines.append(f"| {title} | {entry.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def matrix_table(groups: dict[str, Group], names: Iterable[str]) -> str:
    """Who else accepts, authorised by authorised."""
    authorised = ("authorised", "paper: authorised, mean of others", "TAR: authorised (plain)")
    others = ("mean of others, raw", "worst other, raw", "worst other, any operation", "any other at all")
    lines = table_head("file", *authorised, *others, "highest AUC of any other", "pairs")
    for name in names:
        for entry, record in groups[name].rows if name in groups else ():
            if record is None:
                lines.append(f"| {name} | {entry.name} | | not measured | | | | | | |")
                continue
            owners, others = measures.authorised(record), measures.unauthorised(record)
            raw, worst = measures.worst(record, others, ("none",)), measures.worst(record, others)
            assert raw is not None
            assert worst is not None
            own = ", ".join(
                f"{measures.tar(record, one).value:.2f} ({measures.clean_tar(record, one).value:.2f})" for one in owners
            )
            mean = sum(measures.tar(record, one).value for one in others) / len(others)
            cells = (
                f"{number(entry.paper.authorised)}, {number(entry.paper.unauthorised)}",
                own,
                f"{mean:.2f}",
                said(raw.share),
                said(worst.share),
                f"{measures.union(record, others).value:.2f}",
                area(record, others),
                f"{len(record.same)}{' (changed code)' if record.dirty else ''}",
            )
            lines.append(f"| {name} | {entry.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def area(record: Record, others: tuple[str, ...]) -> str:
    """The highest area under the curve of any other after any operation, with the p of its being the highest of all."""
    found = [one for _, _, one in measures.areas(record, others)]
    if not found:
        return ""
    adjusted = holm([one.p for one in found])
    best = max(range(len(found)), key=lambda at: found[at].auc)
    one = found[best]
    p = f"p {adjusted[best]:.1g}" if adjusted[best] >= LEAST else f"p < {LEAST:g}"
    return f"{one.auc:.2f} ({one.interval.low:.2f} to {one.interval.high:.2f}), {p}"


def hours() -> str:
    """What the records say that they cost."""
    spent: dict[str, float] = {}
    for path in sorted(RESULTS.rglob("*.jsonl")):
        if is_ours(path):
            found = sum(record.spent.seconds for record in read_records(path))
        else:
            each = [seconds_of(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
            # a log counts from its run's beginning
            found = max(each, default=0.0) if "log" in path.stem else sum(each)
        spent[path.parent.name] = spent.get(path.parent.name, 0.0) + found
    listed = ", ".join(f"{name} {value / HOUR:.1f}" for name, value in spent.items() if value >= HOUR / 20)
    total = sum(spent.values()) / HOUR
    return (
        f"Core-hours that the records name, of protecting and of training, judging apart: {total:.1f} ({listed}). Runs "
        "of one thread, most of them on a shared machine, so that an idle core takes less."
    )


def seconds_of(record: dict[str, Any]) -> float:
    """Of a record of any experiment."""
    if isinstance(record.get("run"), dict) and "seconds" in record["run"]:
        return float(record["run"]["seconds"])
    value = record.get("seconds", 0.0)
    return float(value) if isinstance(value, int | float) else 0.0


def transfer(groups: dict[str, Group]) -> Figure:
    """Authorised TAR over the worst other's, by what the key matches."""
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    marks = {"five convolutions": ("o", "#b33"), "five modules": ("s", "#d80"), "whole embedding": ("^", "#27c")}
    for kind, (mark, colour) in marks.items():
        points = [
            (worst.share, own.share, clean)
            for entry, record in groups["table7"].rows
            if record is not None and kind in entry.name
            for worst, own, clean in [extremes(record)]
        ]
        for other, own, clean in points:
            axes.errorbar(
                other.value,
                own.value / clean,
                xerr=[[max(other.value - other.low, 0)], [max(other.high - other.value, 0)]],
                fmt=mark,
                color=colour,
                capsize=2,
                label=kind,
            )
    printed = groups["table7"].header.paper
    assert printed is not None
    paper = [row for row in printed.rows if row[0] == "LFW" and row[1] != "clean"]
    worst_printed = [max(float(x) for x in row[2:7] if float(x) < AUTHORISED) for row in paper]
    axes.plot(worst_printed, [1.0] * len(paper), "kx", label="paper, LFW")
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axes.legend(unique.values(), unique.keys(), loc="lower left")
    axes.set(
        xlabel="highest acceptance by any other recogniser, after any operation",
        ylabel="authorised, of what it accepts plain",
        xlim=(-0.02, 1.02),
        ylim=(0.5, 1.08),
        title="Table VII: what is matched decides who else recognises (LFW)",
    )
    return figure


def extremes(record: Record) -> tuple[measures.NamedRate, measures.NamedRate, float]:
    """The worst other, the authorised that keeps least, and what that accepts plain."""
    worst, own = (
        measures.worst(record, measures.unauthorised(record)),
        measures.weakest(record, measures.authorised(record), ("none",)),
    )
    assert worst is not None
    assert own is not None
    return worst, own, measures.clean_tar(record, own.judge).value


def noise(groups: dict[str, Group]) -> Figure:
    """UP and its utility by noise, a panel a figure of the paper."""
    there = {name: title for name, title in FIGURES.items() if name in groups}
    figure = Figure(figsize=(11, 3.4 * ((len(there) + 2) // 3)), layout="constrained")
    for place, (name, title) in enumerate(there.items()):
        axes = figure.add_subplot((len(there) + 2) // 3, 3, place + 1)
        group = groups[name]
        kappas = group.header.noise_kappa
        kappa = min(kappas, key=lambda value: abs(value - 0.5)) if len(kappas) > 1 else kappas[0]
        for entry, record in group.rows:
            if record is None:
                continue
            own = measures.authorised(record)[0]
            found = measures.trades(record, own, kappa=kappa)
            bare = any(trade.privacy is measures.NONE for trade in found)
            values = [trade.utility.value if bare else trade.total for trade in found]
            axes.plot([trade.bound for trade in found], values, marker="o", markersize=3, label=entry.name)
        axes.set(title=title, xlabel="noise", ylabel="utility" if name == "figure9" else "UP")
        axes.legend(fontsize=7)
    return figure


def curves(record: dict[str, Any]) -> Figure:
    """Residual and acceptance by K, a panel a method."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    for place, curve in enumerate(record["curves"]):
        axes = figure.add_subplot(1, len(record["curves"]), place + 1)
        ks = [row["k"] for row in curve["rows"]]
        axes.plot(ks, [sum(row["residual"]) / len(row["residual"]) for row in curve["rows"]], "k-", label="residual")
        own = [row["accepted"][curve["authorised"]] / record["pairs"] for row in curve["rows"]]
        others = [
            max(count for name, count in row["accepted"].items() if name != curve["authorised"]) / record["pairs"]
            for row in curve["rows"]
        ]
        axes.plot(ks, own, "b-o", markersize=3, label="authorised TAR")
        axes.plot(ks, others, "r-o", markersize=3, label="worst other TAR, raw")
        axes.set(title=curve["method"], xlabel="K", ylim=(0, 1.1), xscale="symlog")
        axes.legend(fontsize=7)
    return figure


def number(value: float | None) -> str:
    """Of the paper; a dash where it has none."""
    return "-" if value is None else f"{value:.2f}"


def said(share: Share) -> str:
    """A share with its interval."""
    return f"{share.value:.2f} ({share.low:.2f} to {share.high:.2f})"


def png(figure: Figure) -> bytes:
    """The file's bytes."""
    FigureCanvasAgg(figure)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    return file.getvalue()


if __name__ == "__main__":
    main()

"""Plots of docs/paper.md: what is matched, UP by noise, and how far K steps bring an image."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from facemin.experiments import measures
from facemin.metrics import wilson

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from facemin.experiments.layouts.groups import Group
    from facemin.experiments.store.records import Record

FIGURES = {
    "figure4": "Figure 4: length of the kernel",
    "figure5": "Figure 5: T",
    "figure8": "Figure 8: threshold 0.5",
    "figure9": "Figure 9: noise on features",
    "figure10": "Figure 10: threshold 0.5 of many",
    "figure11": "Figure 11: the enhancement",
}
DPI = 110
AUTHORISED = 0.9
"""In the paper's matrix, what is below it is unauthorised."""


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
    """Residual and acceptance by K, a panel a method; bands are Wilson's 95 % intervals."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    for place, curve in enumerate(record["curves"]):
        axes = figure.add_subplot(1, len(record["curves"]), place + 1)
        ks = [row["k"] for row in curve["rows"]]
        residual = axes.twinx()
        residual.plot(ks, [sum(row["residual"]) / len(row["residual"]) for row in curve["rows"]], "k-")
        residual.set(ylabel="residual (black)", ylim=(0, None))
        own = [row["accepted"][curve["authorised"]] for row in curve["rows"]]
        others = [
            max(count for name, count in row["accepted"].items() if name != curve["authorised"])
            for row in curve["rows"]
        ]
        _accepted(axes, ks, own, record["pairs"], colour="b", label="authorised TAR")
        _accepted(axes, ks, others, record["pairs"], colour="r", label="worst other TAR, raw")
        axes.set(title=curve["method"], xlabel="K", ylabel="TAR", ylim=(0, 1.05), xscale="symlog")
        axes.set_xlim(0, max(ks))
        axes.legend(fontsize=7, loc="upper left")
    return figure


def _accepted(axes: Axes, ks: list[int], counts: list[int], n: int, *, colour: str, label: str) -> None:
    """A curve of shares, with its band."""
    bounds = [wilson(count, n) for count in counts]
    axes.plot(ks, [count / n for count in counts], f"{colour}-o", markersize=3, label=label)
    axes.fill_between(ks, [one.low for one in bounds], [one.high for one in bounds], color=colour, alpha=0.12)


def png(figure: Figure) -> bytes:
    """The file's bytes."""
    FigureCanvasAgg(figure)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    return file.getvalue()

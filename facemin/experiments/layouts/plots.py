"""Plots of a report as SVG files: curves over noise, a map of UP, and selectivity."""

from __future__ import annotations

import math
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from facemin.evaluation.judge import Share


class Curve(NamedTuple):
    """Shares over a number; missing ones leave a gap."""

    label: str
    at: tuple[float, ...]
    shares: tuple[Share, ...]


class Panel(NamedTuple):
    """Curves in one pair of axes."""

    title: str
    ylabel: str
    curves: tuple[Curve, ...]


class Point(NamedTuple):
    """An operating point: what others get, what the authorised recogniser keeps, and what to write beside it."""

    others: Share
    own: Share
    text: str


class Path(NamedTuple):
    """Operating points joined in the order of a sweep."""

    label: str
    points: tuple[Point, ...]


def curves(panels: Sequence[Panel], *, xlabel: str, title: str) -> bytes:
    """Panels side by side, with a band for each interval; an SVG file's bytes.

    Raises:
        ValueError: matplotlib is missing.
    """

    def draw(figure: Any) -> None:
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            for curve in panel.curves:
                line = axes.plot(curve.at, [share.value for share in curve.shares], marker="o", label=curve.label)[0]
                low, high = ([share[end] for share in curve.shares] for end in (1, 2))
                axes.fill_between(curve.at, low, high, color=line.get_color(), alpha=0.12, linewidth=0)
            axes.set(xlabel=xlabel, ylabel=panel.ylabel)
            axes.set_title(panel.title, parse_math=False)
            axes.grid(visible=True, alpha=0.3)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)

    return _svg(draw, size=(4.6 * max(len(panels), 2), 4.4), title=title)


def selectivity(panels: Sequence[tuple[str, Sequence[Path]]], *, title: str) -> bytes:
    """What the authorised recogniser keeps over what the worst other gets; an SVG file's bytes.

    Args:
        panels: a title each, and its paths.
        title: over all.

    Raises:
        ValueError: matplotlib is missing.
    """
    points = [point for _, paths in panels for path in paths for point in path.points]
    others_all, own_all = [point.others for point in points], [point.own for point in points]

    def draw(figure: Any) -> None:
        for axes, (name, paths) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            for path in paths:
                others, own = [point.others for point in path.points], [point.own for point in path.points]
                x, y = [share.value for share in others], [share.value for share in own]
                axes.errorbar(
                    *(x, y),
                    xerr=_reach(others),
                    yerr=_reach(own),
                    marker="o",
                    label=path.label,
                    linewidth=1,
                    elinewidth=0.4,
                )
                for point, at in zip(path.points, zip(x, y, strict=True), strict=True):
                    axes.annotate(point.text, at, fontsize=6, xytext=(3, 3), textcoords="offset points")
            axes.set(
                xlabel="worst other TAR (less is better)",
                ylabel="authorised TAR (more is better)",
                xlim=_range(others_all),
                ylim=_range(own_all),
            )
            axes.locator_params(nbins=6)
            axes.set_title(name, parse_math=False)
            axes.grid(visible=True, alpha=0.3)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)

    return _svg(draw, size=(5.6 * len(panels), 5.6), title=title)


def boxes(names: Sequence[str], panels: Sequence[tuple[str, Sequence[Sequence[float]]]], *, title: str) -> bytes:
    """Values of each row as a box of their quartiles over their points; an SVG file's bytes.

    Args:
        names: of the rows, from top to bottom.
        panels: a title each, and the values of each row.
        title: over all.

    Raises:
        ValueError: matplotlib is missing.
    """
    rows = list(range(len(names), 0, -1))

    def draw(figure: Any) -> None:
        for axes, (name, values) in zip(
            figure.subplots(1, len(panels), squeeze=False, sharey=True)[0], panels, strict=True
        ):
            axes.boxplot(list(values), positions=rows, orientation="horizontal", whis=(5, 95), showfliers=False)
            # one path for all points, since a mark each would make the file ten times as large
            ticks = [
                [(value, at - 0.2), (value, at + 0.2)] for at, row in zip(rows, values, strict=True) for value in row
            ]
            x, y = ([end for tick in ticks for end in (*(point[axis] for point in tick), math.nan)] for axis in (0, 1))
            axes.plot(x, y, color="tab:blue", alpha=0.4, linewidth=0.8)
            axes.set_yticks(rows, names, fontsize=7, parse_math=False)
            axes.set_title(name, parse_math=False)
            axes.grid(visible=True, axis="x", alpha=0.3)

    return _svg(draw, size=(4.6 * len(panels) + 2, 0.27 * len(names) + 1.6), title=title)


def bars(groups: Sequence[str], series: Sequence[tuple[str, Sequence[Share]]], *, ylabel: str, title: str) -> bytes:
    """Shares of several series side by side in each group, with their intervals; an SVG file's bytes.

    Args:
        groups: names on the axis.
        series: a name each, and a share for each group; one of no trials leaves a gap.
        ylabel: of the shares.
        title: over all.

    Raises:
        ValueError: matplotlib is missing.
    """

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        width = 0.8 / len(series)
        for place, (name, shares) in enumerate(series):
            there = [(at, share) for at, share in enumerate(shares) if share.n]
            x = [at + (place - (len(series) - 1) / 2) * width for at, _ in there]
            found = [share for _, share in there]
            axes.bar(
                x, [share.value for share in found], width, yerr=_reach(found), label=name, error_kw={"linewidth": 0.8}
            )
        axes.set_xticks(range(len(groups)), groups, fontsize=8, parse_math=False)
        axes.set(ylabel=ylabel)
        axes.grid(visible=True, axis="y", alpha=0.3)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)

    return _svg(draw, size=(max(1.7 * len(groups), 6), 4.2), title=title)


def maps(
    panels: Sequence[tuple[str, Sequence[Sequence[float]]]],
    *,
    at: Sequence[float],
    kappas: Sequence[float],
    title: str,
) -> bytes:
    """UP over bounds of noise and thresholds as colours; an SVG file's bytes.

    Args:
        panels: a title each, and values by threshold, then bound.
        at: the bounds.
        kappas: the thresholds.
        title: over all.

    Raises:
        ValueError: matplotlib is missing.
    """
    values = [value for _, rows in panels for row in rows for value in row]

    def draw(figure: Any) -> None:
        every = figure.subplots(1, len(panels), squeeze=False)[0]
        for axes, (name, rows) in zip(every, panels, strict=True):
            drawn = axes.imshow(rows, origin="lower", aspect="auto", vmin=min(values), vmax=max(values))
            axes.set_xticks(range(len(at)), [f"{bound:g}" for bound in at])
            axes.set_yticks(range(len(kappas)), [f"{kappa:g}" for kappa in kappas])
            axes.set(xlabel="bound of noise", ylabel="threshold")
            axes.set_title(name, parse_math=False)
        figure.colorbar(drawn, ax=list(every), label="UP")

    return _svg(draw, size=(4.6 * len(panels) + 1, 3.8), title=title)


def _range(shares: Sequence[Share]) -> tuple[float, float]:
    """The part of [0, 1] where shares and their intervals lie, with a margin, the same in every panel.

    All of [0, 1] would put a worst other TAR of 0.01 beside one of 0.00 on one line.
    """
    known = [value for share in shares for value in (share.low, share.high, share.value) if math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    margin = max(0.06 * (high - low), 0.001)
    return low - margin, high + margin


def _reach(shares: Sequence[Share]) -> list[list[float]]:
    """How far intervals reach below and above their shares; never negative, as rounding may have it at 0 and 1."""
    below = [max(share.value - share.low, 0.0) for share in shares]
    return [below, [max(share.high - share.value, 0.0) for share in shares]]


def _svg(draw: Callable[[Any], None], *, size: tuple[float, float], title: str) -> bytes:
    try:
        import matplotlib as mpl
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ValueError("report: expected matplotlib, which comes with: pip install 'facemin[bench]'") from error
    # no pyplot: its figures are global and its backend may want a display
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasSVG(figure)
    figure.suptitle(title, parse_math=False)
    draw(figure)
    file = BytesIO()
    # without a date, and with ids that do not change, the same records give the same file
    with mpl.rc_context({"svg.hashsalt": "facemin"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()

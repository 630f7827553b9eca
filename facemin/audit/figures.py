"""Counts as figures and table entries."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from facemin.audit.result import Figure
from facemin.evaluation.judge import Share, share
from facemin.experiments.measures import mean
from facemin.report.page import MISSING, Entry

if TYPE_CHECKING:
    from torch import Tensor

FEWEST_FOR_A_MEAN = 5
"""Below so many images, drawing them again says nothing of a mean's interval."""


def counted(flags: Tensor, *, name: str, of: str, where: str) -> Figure:
    """A share of true flags (N,), with Wilson's interval."""
    return _figure(share(flags), name, of, where, hits=int(flags.sum()))


def averaged(values: Tensor, *, name: str, of: str, where: str) -> Figure:
    """A mean of values (N,), with the interval when images are drawn again; none for fewer than five."""
    wide = values.detach().double().cpu()
    wide = wide[wide.isfinite()]
    found = mean(wide) if len(wide) >= FEWEST_FOR_A_MEAN else _bare(wide)
    return _figure(found, name, of, where)


def _figure(found: Share, name: str, of: str, where: str, *, hits: int | None = None) -> Figure:
    value, low, high, n = found.value, found.low, found.high, found.n
    return Figure(name=name, of=of, where=where, value=value, low=low, high=high, n=n, hits=hits)


def entry(figure: Figure | None, *, digits: int = 3, below: str = "", mark: str = "") -> Entry:
    """A figure's place in a table: a count as "3 of 40", a mean as a number, each with its interval in small print."""
    if figure is None or not math.isfinite(figure.value):
        return Entry(MISSING, mark="missing")
    value = f"{figure.hits} of {figure.n}" if figure.hits is not None else f"{figure.value:.{digits}f}"
    interval = f"{figure.low:.{digits}f} to {figure.high:.{digits}f}" if math.isfinite(figure.low) else ""
    return Entry(value, ", ".join(filter(None, (interval, below))), mark)


def percent(value: float) -> str:
    """A share in words: whole percents, but tenths below one."""
    shown = 100 * value
    return f"{shown:.0f} %" if shown >= 1 or shown == 0 else f"{shown:.1f} %"


def interval(figure: Figure) -> str:
    """A count with its interval, in a sentence."""
    return f"{figure.hits} of {figure.n} (95 % interval {percent(figure.low)} to {percent(figure.high)})"


def _bare(values: Tensor) -> Share:
    value = float(values.mean()) if len(values) else math.nan
    return Share(value, math.nan, math.nan, len(values))


def rows_of(images: Tensor, rows: Tensor, most: int) -> Tensor:
    """The first few of some rows, for pictures."""
    return images[rows[:most]] if len(rows) else torch.zeros(0, *images.shape[1:])

"""Places of a table that hold figures of a record, or the paper's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facemin.experiments import measures
from facemin.metrics import wilson
from facemin.report.page import MISSING, Entry, number, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facemin.experiments.layouts.groups import Group
    from facemin.experiments.store.records import Record

UNRUN = Entry(MISSING, mark="missing")
NONE = Entry("-")
"""What does not apply, or the paper does not have."""
LEAST = 1e-9
"""A smaller p is not told apart."""


def interval_entry(value: float, interval: Sequence[float], *, digits: int = 2, below: str = "") -> Entry:
    """A figure with its interval, and more, in small print."""
    low, high = interval
    said = f"{low:z.{digits}f} to {high:z.{digits}f}"
    return Entry(f"{value:z.{digits}f}", f"{said}; {below}" if below else said)


def with_interval(value: float, low: float, high: float, *, digits: int = 2) -> str:
    """A figure and its interval as words and tables of documents print them."""
    return f"{value:z.{digits}f} ({low:z.{digits}f} to {high:z.{digits}f})"


def small(p: float) -> str:
    """A p as it is printed, which is never 0."""
    return f"{p:.2g}" if p >= LEAST else f"below {LEAST:g}"


def beside(value: float | None, *, digits: int = 2) -> Entry:
    """A figure of the paper's as it stands there."""
    return NONE if value is None else Entry(f"{value:.{digits}f}", mark="paper")


def paper_title(group: Group) -> str:
    """How a column of the paper's figures is called."""
    paper = group.header.paper
    return "paper" if paper is None else f"paper ({paper.set})"


def paper_entry(group: Group, value: float | None) -> Entry:
    """The paper's figure, with Wilson's interval where the number of its pairs is known or inferred."""
    if value is None:
        return Entry("-", mark="paper")
    n = group.header.paper.n if group.header.paper is not None else None
    if n is None or not 0 <= value <= 1:
        return Entry(f"{value:.3f}", mark="paper")
    low, high = wilson(round(value * n), n)
    return Entry(f"{value:.3f}", f"{low:.3f} to {high:.3f}", "paper")


def named_entry(named: measures.NamedRate | None, *, mark: str = "") -> Entry:
    """A share with its judge and operation in small print."""
    if named is None:
        return UNRUN
    what = named.judge if named.operation == "none" else f"{named.judge}, {named.operation}"
    return shown(named.share, mark=mark, below=what)


def steps_entry(record: Record) -> Entry:
    """Mean steps an image took; none without protection."""
    return number(measures.mean_steps(record), 1) if record.spent.steps else Entry("-")


def residual_entry(record: Record) -> Entry:
    """Mean residual of each key; none without protection."""
    if not record.spent.steps:
        return Entry("-")
    residuals = [measures.mean_residual(record, key) for key in range(len(record.keys))]
    return number(residuals[0]) if len(residuals) == 1 else Entry(", ".join(number(value).text for value in residuals))

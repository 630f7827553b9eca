"""Result of a row: verdict in words, figures, tables, pictures, and what was left out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from facemin.attack.contract import Row
    from facemin.audit.sample_size import Outcome
    from facemin.report.page import Entry


Line: TypeAlias = "tuple[Entry | str, ...]"
"""A row of a table."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number.

    Attributes:
        name: what it is, "TAR" or "SSIM".
        of: whose, a recogniser or a kind of image.
        where: under which conditions.
        value: itself, unrounded.
        low: of its 95 % interval; NaN where there is none.
        high: likewise.
        n: images or pairs behind it.
        hits: of a share, how many of them; None for a mean.
    """

    name: str
    of: str
    where: str
    value: float
    low: float
    high: float
    n: int
    hits: int | None = None

    def values(self) -> dict[str, Any]:
        """As JSON has it, where nothing stands for what is no number."""
        found = vars(self)
        return {key: None if isinstance(one, float) and math.isnan(one) else one for key, one in found.items()}


@dataclass(frozen=True, kw_only=True)
class Table:
    """Figures as a person reads them."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[Line, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """Rows of faces, one below the other.

    Attributes:
        caption: what they show.
        rows: a title, and images (N, 3, 112, 112) in [0, 1]; as many in each row.
    """

    caption: str
    rows: tuple[tuple[str, Tensor], ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class RowResult:
    """What an adversary of one row of the threat model got.

    Attributes:
        row: of the threat model; None for what is no row: whether the provider still recognises.
        title: the adversary in words.
        knows: what it was given.
        outcome: see `sample_size`.
        verdict: in plain words, with the counts.
        figures: every number, for machines.
        tables: for people.
        pictures: grids.
        untested: what was left out, and why.
        seconds: it took.
    """

    row: Row | None
    title: str
    knows: str
    outcome: Outcome
    verdict: str
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Grid, ...] = ()
    untested: tuple[str, ...] = ()
    seconds: float = 0.0

    def values(self) -> dict[str, Any]:
        """As JSON has it: all but tables and pictures."""
        return {
            "row": self.row,
            "title": self.title,
            "knows": self.knows,
            "outcome": self.outcome,
            "verdict": self.verdict,
            "figures": [figure.values() for figure in self.figures],
            "untested": list(self.untested),
            "seconds": self.seconds,
        }


@dataclass(frozen=True, kw_only=True)
class AuditRow:
    """An adversary whom an audit plays.

    Attributes:
        row: of the threat model; None for the provider itself.
        title: the adversary in words.
        knows: what it is given.
    """

    row: Row | None
    title: str
    knows: str

    def result(
        self,
        outcome: Outcome,
        verdict: str,
        *,
        figures: Iterable[Figure] = (),
        tables: Iterable[Table] = (),
        pictures: Iterable[Grid] = (),
        untested: Iterable[str] = (),
    ) -> RowResult:
        """What it got; see `RowResult`."""
        return RowResult(
            **vars(self),
            outcome=outcome,
            verdict=verdict,
            figures=tuple(figures),
            tables=tuple(tables),
            pictures=tuple(pictures),
            untested=tuple(untested),
        )

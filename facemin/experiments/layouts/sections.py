"""A section of a report before it is laid out: what it shows, says in a sentence, and is repeated by."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from facemin.experiments.layouts.places import CLAIMS
from facemin.report.page import code, paragraph, section

if TYPE_CHECKING:
    from collections.abc import Sequence


class Section(NamedTuple):
    """A section.

    Attributes:
        title: its heading, without the paper's name of it.
        place: the paper's table or figure, of `CLAIMS`; empty for none.
        said: what was found, in a sentence or two.
        parts: its HTML.
        command: what repeats it.
        remark: what a reader has to know of it.
        of_paper: whether it is of PMT's paper, though of none of its tables and figures.
    """

    title: str
    place: str
    said: str
    parts: Sequence[str]
    command: str
    remark: str = ""
    of_paper: bool = False

    @property
    def heading(self) -> str:
        """With the paper's name of it."""
        return f"PMT, {self.place}: {self.title}" if self.place else self.title


def laid_out(made: Section) -> str:
    """As HTML, beginning with the claim, the finding and the command."""
    claim = [paragraph(f"The paper: {CLAIMS[made.place]}")] if made.place else []
    remark = [paragraph(made.remark, "quiet")] if made.remark else []
    start = [
        *claim,
        paragraph(f"Here:\n{made.said}" if claim else made.said, "said"),
        *remark,
        code("Repeat it", made.command),
    ]
    return section(made.heading, [*start, *made.parts])

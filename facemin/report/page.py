"""HTML pages of tables and figures that need nothing from elsewhere: no scripts, no fonts, no other files."""

from __future__ import annotations

import base64
import math
import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

MISSING = "not run"

_HEADING = re.compile(r'<h2 id="([^"]+)">(.*?)</h2>')


class Share(Protocol):
    """A share with its interval."""

    @property
    def value(self) -> float:
        """In [0, 1]."""

    @property
    def low(self) -> float:
        """Of its 95 % interval."""

    @property
    def high(self) -> float:
        """Likewise."""

    @property
    def n(self) -> int:
        """Trials."""


class Entry(NamedTuple):
    """One place of a table."""

    text: str
    below: str = ""
    """In small print."""
    mark: str = ""
    """"own" for an authorised recogniser, "paper" for the paper's figure, "missing", "text" and "words" for words; and
    for outcomes "leak", "bounded", "open", "look" or "none", whose colours never stand without the word."""


class Table(NamedTuple):
    """What `table` shows, for whoever shows it otherwise too: a caption, column heads, and as many entries a row."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Entry | str]]


class Heading(NamedTuple):
    """A section that a reader can jump to."""

    anchor: str
    title: Markup


def number(value: float, digits: int = 3) -> Entry:
    """A plain number; one that is not there says so."""
    return Entry(f"{value:.{digits}f}") if math.isfinite(value) else Entry(MISSING, mark="missing")


def shown(share: Share, *, mark: str = "", below: str = "") -> Entry:
    """A share with its interval; one of no trials says that it was not run."""
    if share.n == 0:
        return Entry(MISSING, mark="missing")
    interval = f"{share.low:.3f} to {share.high:.3f}"
    return Entry(f"{share.value:.3f}", f"{interval}, {below}" if below else interval, mark)


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Entry | str]], *, stacked: bool = False) -> str:
    """A table as HTML, which scrolls where it is wider than the page; all text is escaped.

    Args:
        caption: its heading.
        head: of its columns.
        rows: as many entries each.
        stacked: of words: on a phone each row becomes a block that reads downwards, instead of scrolling.
    """
    entries = [[Entry(one) if isinstance(one, str) else one for one in row] for row in rows]
    return _part("table", caption, head, entries, stacked)


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph; kind "warn", "quiet", "said", whose line breaks stay, or an outcome as `Entry.mark` has it."""
    return _part("paragraph", text, kind)


def code(title: str, text: str) -> str:
    """A command after a few words."""
    return _part("code", title, text)


def listing(title: str, texts: Sequence[str]) -> str:
    """A list under a small heading."""
    return _part("listing", title, texts)


def image(data: bytes, *, media: str, alt: str, caption: str = "", wide: bool = False) -> str:
    """A picture with its bytes in the page.

    Args:
        data: the file.
        media: its type, "image/svg+xml" or "image/png".
        alt: what it shows, in words.
        caption: below it.
        wide: scroll sideways on a narrow screen rather than shrink until nothing can be read.
    """
    return _part("image", f"data:{media};base64,{base64.b64encode(data).decode()}", alt, caption, wide)


def section(title: str, parts: Iterable[str]) -> str:
    """A part of the page under a heading of its own, which the page's contents lead to."""
    anchor = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "section"
    return _part("section", anchor, title, [Markup(part) for part in parts])  # noqa: S704 - made by the templates


def document(title: str, parts: Iterable[str], *, introduction: Sequence[str] = ()) -> str:
    """The whole page.

    Args:
        title: of it.
        parts: made by the functions above.
        introduction: paragraphs that say what the page is, and how to read it.
    """
    marked = [Markup(part) for part in parts]  # noqa: S704 - made by the templates
    return (
        _environment()
        .get_template("page.html")
        .render(title=title, parts=_apart(marked), headings=_headings(marked), introduction=introduction)
    )


def _headings(parts: Sequence[Markup]) -> list[Heading]:
    found = [match for part in _apart(parts) for match in _HEADING.findall(part)]
    return [Heading(anchor, Markup(title)) for anchor, title in found]  # noqa: S704 - was escaped by the templates


def _apart(parts: Sequence[Markup]) -> list[Markup]:
    """The parts, with a number behind every anchor that was there before."""
    taken: dict[str, int] = {}

    def own(match: re.Match[str]) -> str:
        anchor = match[1]
        taken[anchor] = taken.get(anchor, 0) + 1
        return match[0] if taken[anchor] == 1 else match[0].replace(anchor, f"{anchor}-{taken[anchor]}", 1)

    return [Markup(_HEADING.sub(own, part)) for part in parts]  # noqa: S704 - made by the templates


def _part(name: str, *arguments: Any) -> str:
    return str(getattr(_environment().get_template("parts.html").module, name)(*arguments))


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("facemin.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )

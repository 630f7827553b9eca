"""Tables and figures as one HTML file that needs nothing from elsewhere: no scripts, no fonts, no other files."""

from __future__ import annotations

import base64
import math
from html import escape
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from facemin.evaluation.judge import Share

MISSING = "not run"

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; max-width: 1200px; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { margin-top: 3rem; border-top: 1px solid #ccc; padding-top: 1rem; font-size: 1.3rem }
h3 { font-size: 1rem; margin: 1.5rem 0 .3rem } .scroll { overflow-x: auto } figure { margin: 1rem 0 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px }
th, td { border: 1px solid #ddd; padding: .25rem .5rem; text-align: right; vertical-align: top }
th { background: #f5f5f5; text-align: left } td:first-child { text-align: left }
td small { display: block; color: #666 } td.own { background: #e8f1fb; font-weight: 600 } td.paper { color: #7a4b00 }
td.missing { color: #999; font-style: italic } td.text { text-align: left; min-width: 9rem }
td.leak { text-align: left; background: #fde8e8; font-weight: 600 }
.warn { background: #fff3cd; padding: .4rem .7rem } .quiet { color: #666 }
img { max-width: 100% } code { font-size: 90% }
"""


class Entry(NamedTuple):
    """One place of a table."""

    text: str
    below: str = ""
    """In small print."""
    mark: str = ""
    """"own" for an authorised recogniser, "paper" for the paper's figure, "missing", "text" for words, "leak"."""


def number(value: float, digits: int = 3) -> Entry:
    """A plain number; one that is not there says so."""
    return Entry(f"{value:.{digits}f}") if math.isfinite(value) else Entry(MISSING, mark="missing")


def shown(share: Share, *, mark: str = "", below: str = "") -> Entry:
    """A share with its interval; one of no trials says that it was not run."""
    if share.n == 0:
        return Entry(MISSING, mark="missing")
    interval = f"{share.low:.3f} to {share.high:.3f}"
    return Entry(f"{share.value:.3f}", f"{interval}, {below}" if below else interval, mark)


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Entry | str]]) -> str:
    """A table as HTML; all text is escaped."""
    cells = "".join(f"<th>{escape(title)}</th>" for title in head)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in rows)
    title = f"<h3>{escape(caption)}</h3>\n"
    return f'{title}<div class="scroll"><table><thead><tr>{cells}</tr></thead>\n<tbody>{body}</tbody></table></div>\n'


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph; kind "warn" or "quiet"."""
    return f"<p{f' class={kind}' if kind else ''}>{escape(text)}</p>\n"


def image(data: bytes, *, media: str, alt: str) -> str:
    """A picture with its bytes in the page.

    Args:
        data: the file.
        media: its type, "image/svg+xml" or "image/png".
        alt: what it shows, in words.
    """
    encoded = base64.b64encode(data).decode()
    return f'<figure><img alt="{escape(alt)}" src="data:{media};base64,{encoded}"></figure>\n'


def section(title: str, parts: Iterable[str]) -> str:
    """A part of the page under a title of its own."""
    return f"<section>\n<h2>{escape(title)}</h2>\n{''.join(parts)}</section>\n"


def document(title: str, parts: Iterable[str]) -> str:
    """The whole page."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        f"{''.join(parts)}</body>\n</html>\n"
    )


def _cell(entry: Entry | str) -> str:
    text, below, mark = (entry, "", "") if isinstance(entry, str) else entry
    small = f"<small>{escape(below)}</small>" if below else ""
    return f"<td{f' class={mark}' if mark else ''}>{escape(text)}{small}</td>"

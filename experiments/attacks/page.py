"""Tables of docs/attacks.md: where they stand, and how a linker's figures are printed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from facemin.experiments.common import REPOSITORY, replace_section
from facemin.experiments.kinds.adversaries import FAR, ranks, tar
from facemin.experiments.layouts.entries import with_interval

if TYPE_CHECKING:
    from pathlib import Path

PAGE = REPOSITORY / "docs" / "attacks.md"
README = REPOSITORY / "README.md"


def write_table(name: str, script: str, body: str, *, page: Path = PAGE) -> None:
    """Put lines between a page's marks of a name.

    Args:
        name: in the marks.
        script: that writes it, relative to experiments/attacks.
        body: Markdown.
        page: the document.

    Raises:
        ValueError: the page has no such marks.
    """
    begin = f"<!-- {name}: begin, written by experiments/attacks/{script} -->"
    replace_section(page, begin, f"<!-- {name}: end -->", body)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Records of a file in its order; none where it is not there."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines]


def linked(row: dict[str, Any], adjusted: float) -> str:
    """AUC with its interval, rank one and ten beside chance, people, and the adjusted p."""
    return f"{with_interval(row['auc'], *row['interval'])}; {ranks(row)}; n {row['n']}, Holm {adjusted:.2g}"


def accepted(scores: list[list[float]]) -> str:
    """TAR with its interval, each person's threshold from the other people's scores."""
    return f"TAR {tar(scores)} at FAR {FAR:g}"

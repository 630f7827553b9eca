"""Command `licences`: licences of facemin and of the files that it ships."""

from __future__ import annotations

from facemin.cli.shared.options import Json
from facemin.cli.shared.output import answer

OURS = "facemin itself: Apache License 2.0, https://www.apache.org/licenses/LICENSE-2.0"


def licences(*, as_json: Json = False) -> int:
    """Print facemin's licence, and whose weights and photo come with it under which."""
    from facemin.data import FOLDER

    notice = (FOLDER / "NOTICE.txt").read_text(encoding="utf-8")
    page = FOLDER.parent / "service" / "page" / "licences.txt"
    if page.is_file():
        notice += "\n" + page.read_text(encoding="utf-8")
    answer({"facemin": OURS, "notice": notice}, OURS, "", *notice.splitlines(), as_json=as_json)
    return 0

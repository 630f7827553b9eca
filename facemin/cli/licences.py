"""The verb `licences`: under which terms facemin and what it brings with it may be used."""

from __future__ import annotations

from facemin.cli.output import tell


def licences() -> int:
    """Print facemin's licence, and whose weights and photo come with it under which."""
    from facemin.data import FOLDER

    tell("facemin itself: Apache License 2.0, https://www.apache.org/licenses/LICENSE-2.0", "")
    tell(*(FOLDER / "NOTICE.txt").read_text(encoding="utf-8").splitlines())
    return 0

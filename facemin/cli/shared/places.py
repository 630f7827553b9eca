"""Places for results, checked before the work whose results they are for."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from facemin.cli.shared.output import note
from facemin.runtime.errors import in_words
from facemin.runtime.files import remove_abandoned

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def check_folder(option: str, folder: Path) -> None:
    """Refuse a folder that could not be written to; nothing is made, nothing stays.

    Args:
        option: whose value it is, say "--out".
        folder: may be missing, then the nearest folder above it counts.

    Raises:
        ValueError: it is a file, or lies below one, or files cannot be made there.
    """
    place = folder
    try:
        while not place.exists():
            if place.is_symlink():
                raise ValueError(f"{option}: expected a folder, got {place}, a link to something that is not there")
            place = place.parent
        if not place.is_dir():
            raise ValueError(f"{option}: expected a folder, got the file {place}")
        # only writing tells: permissions say nothing of read-only disks, nor to an administrator
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise ValueError(f"{option}: {in_words(type(error)(error.errno, error.strerror, str(place)))}") from None


def clear_unfinished(folders: Iterable[Path]) -> None:
    """Remove, and say so, what an earlier run left half-written in folders of results because it was killed."""
    removed = remove_abandoned(folders)
    if removed:
        note(f"removed {removed} unfinished file{'s' * (removed > 1)} of a run that was killed")


def check_file(option: str, file: Path) -> None:
    """Refuse a file that could not be written.

    Args:
        option: whose value it is.
        file: may be there already.

    Raises:
        ValueError: it is a folder, or its folder is as in `check_folder`.
    """
    if file.is_dir():
        raise ValueError(f"{option}: expected a file, got the folder {file}")
    check_folder(option, file.parent)

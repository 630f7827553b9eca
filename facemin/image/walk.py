"""Photos in a folder, recursively, and what else lies there."""

from __future__ import annotations

import os
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".pjpeg", ".pjp", ".mpo", ".jps"),
        *(".png", ".apng", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff"),
        *(".avif", ".avifs", ".heic", ".heics", ".heif", ".heifs", ".hif"),
    )
)
"""Lower-case file suffixes that a walk through a folder should take for photos."""
APPLE_DOUBLE = b"\x00\x05\x16\x07"
"""How the file begins that macOS puts beside `x.jpg` as `._x.jpg`, with what its other file systems cannot hold."""

Kind = Literal["unknown", "dangling", "twice", "apple", "special", "result"]
_WORDS: dict[Kind, tuple[str, str]] = {
    "unknown": ("file of no known kind", "files of no known kind"),
    "dangling": ("link to nothing", "links to nothing"),
    "twice": ("link to a folder that was walked already", "links to folders that were walked already"),
    "apple": ("AppleDouble file of macOS, no photo", "AppleDouble files of macOS, no photos"),
    "special": ("neither a file nor a folder that may be looked at", "neither files nor folders"),
    "result": ("file named like a result", "files named like results"),
}
_COUNTED = frozenset(("unknown", "apple", "result"))
"""Kinds of which there may be thousands: said by number; the others by name."""


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """Something in a folder that is not taken for a photo.

    Attributes:
        path: where it lies.
        kind: `unknown`: no photo's suffix; `dangling`: a link to nothing; `twice`: a link to a folder that is walked
            elsewhere; `apple`: an AppleDouble file; `special`: neither file nor folder; `result`: by its name, made
            by us.
    """

    path: Path
    kind: Kind

    @property
    def reason(self) -> str:
        """The kind in words."""
        return _WORDS[self.kind][0]


@dataclass(kw_only=True)
class Walk:
    """What lies in a folder.

    Attributes:
        photos: each with its place, the path relative to the folder; in order of place.
        skipped: everything else that is no folder.
        unread: folders that could not be listed.
    """

    photos: list[tuple[Path, Path]] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    unread: list[OSError] = field(default_factory=list)


def walk(root: Path, *, out: Path | None = None, ours: tuple[str, ...] = ()) -> Walk:
    """List a folder and those below it, each once, also those that links lead to.

    A linked folder's photos have their places under the link, unless the folder lies below `root` anyway, or another
    link led to it before.

    Args:
        root: the folder.
        out: a folder of results, passed over wherever it is met, unless `root` is it or lies in it.
        ours: endings of names that are results, not photos.
    """
    found = Walk()
    avoid = out.resolve() if out else None
    if avoid in (root.resolve(), *root.resolve().parents):
        avoid = None
    folders, links, seen = deque([(root, Path())]), deque[tuple[Path, Path]](), set[tuple[int, int]]()
    while folders or links:
        # Links last: a folder keeps the place it has without them.
        linked = not folders
        folder, place = links.popleft() if linked else folders.popleft()
        try:
            status = folder.stat()
            identity = (status.st_dev, status.st_ino)
            if identity in seen:
                found.skipped.append(Skipped(path=folder, kind="twice"))
                continue
            if avoid is not None and _lies_in(folder, avoid):
                continue
            seen.add(identity)
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            error.filename = error.filename or str(folder)
            found.unread.append(error)
            continue
        for entry in listed:
            if os.path.isdir(entry.path):  # noqa: PTH112 - a path's own method raises where it may not look
                (links if entry.is_symlink() else folders).append((folder / entry.name, place / entry.name))
            elif not (avoid is not None and entry.is_symlink() and _lies_in(folder / entry.name, avoid)):
                _sort_in(entry, place, found, ours)
    found.photos.sort(key=lambda photo: photo[1])
    return found


def describe(skipped: list[Skipped]) -> list[str]:
    """What was not taken for a photo, in lines: kinds of which there may be many by number, the others by name."""
    lines = []
    for kind, (one, many) in _WORDS.items():
        those = [item.path for item in skipped if item.kind == kind]
        if those and kind in _COUNTED:
            suffixes = Counter(path.suffix.lower() or "without suffix" for path in those)
            parts = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common())
            lines.append(f"{len(those)} {one if len(those) == 1 else many}: {parts}")
        else:
            lines += [f"{path}: {one}" for path in those]
    return lines


def _lies_in(path: Path, folder: Path) -> bool:
    real = path.resolve()
    return folder == real or folder in real.parents


def _sort_in(entry: os.DirEntry[str], place: Path, found: Walk, ours: tuple[str, ...]) -> None:
    path = Path(entry.path)
    kind: Kind | None = None
    if not os.path.isfile(path):  # noqa: PTH113 - as above
        kind = "dangling" if entry.is_symlink() and not os.path.exists(path) else "special"  # noqa: PTH110
    elif entry.name.endswith(ours):
        kind = "result"
    elif path.suffix.lower() not in SUFFIXES:
        kind = "unknown"
    elif entry.name.startswith("._") and _is_apple_double(path):
        kind = "apple"
    if kind is None:
        found.photos.append((path, place / entry.name))
    else:
        found.skipped.append(Skipped(path=path, kind=kind))


def _is_apple_double(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(APPLE_DOUBLE)) == APPLE_DOUBLE
    except OSError:
        return False

"""Photos among the inputs of a folder job, and what a record notes of each."""

from __future__ import annotations

import os
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from facemin.image import Skipped, walk
from facemin.protection.result import Failure
from facemin.runtime.errors import in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


PROTECTED = (".protected.png", ".protected.jpg", ".pasted.png", ".protected.json", ".protected.safetensors")
"""Endings of what protection writes; a folder that is walked again must not protect the protected."""


def photos_among(
    inputs: Iterable[Path],
    *,
    ours: tuple[str, ...],
    failures: list[Failure],
    skipped: list[Skipped],
    out: Path | None = None,
    wanted: Callable[[Path], bool] | None = None,
    kind: str = "photos",
) -> Iterator[tuple[Path, Path]]:
    """List the photos among files and folders, folders recursively, each with its place below its folder.

    Args:
        inputs: files, which are taken as they are, and folders. A file that a record beside it says we wrote is passed
            over too: `*.png` names it on a rerun.
        ours: endings of results, passed over in folders; see `walk`.
        failures: gets what is not there, cannot be listed, or has nothing in it.
        skipped: gets what else lies in the folders.
        out: see `walk`.
        wanted: which of a folder's photos are taken; all when None.
        kind: what those are called.
    """
    for path in inputs:
        # a path's own methods raise where they may not look, or where a name is too long
        if os.path.isdir(path):  # noqa: PTH112
            found = walk(path, out=out, ours=ours)
            failures += [
                Failure(name=str(e.filename), reason=f"could not be listed: {in_words(e)}") for e in found.unread
            ]
            skipped += found.skipped
            photos = [each for each in found.photos if wanted is None or wanted(each[0])]
            if not photos:
                failures.append(Failure(name=str(path), reason=f"expected {kind} in this folder, found none"))
            yield from photos
        elif path.name.endswith(ours) and _is_recorded(path):
            skipped.append(Skipped(path=path, kind="result"))
        elif os.path.exists(path):  # noqa: PTH110
            yield path, Path(path.name)
        else:
            failures.append(Failure(name=str(path), reason="expected a photo or a folder, found nothing there"))


def _is_recorded(result: Path) -> bool:
    """Whether a record beside a file, say of `b.2.protected.png`, is that of a photo whose result it is."""
    stem, word = Path(result.stem).stem, Path(result.stem).suffix.replace(".pasted", ".protected")
    return any(
        os.path.isfile(result.with_name(f"{name}{word}.json"))  # noqa: PTH113 - as above
        for name in accumulate(stem.split("."), "{}.{}".format)
    )


def state_of(source: Path) -> dict[str, object]:
    """A photo's place, size and time of change, by which a rerun sees whether it is the same one."""
    status = source.stat()
    return {"path": str(source.resolve()), "bytes": status.st_size, "modified_ns": status.st_mtime_ns}

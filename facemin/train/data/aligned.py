"""Photos aligned once, as PNG files in a folder that later runs read."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from facemin.autograd.pixels import to_array
from facemin.evaluation.photo_reader import PhotoReader
from facemin.face import Detector
from facemin.image import encode
from facemin.runtime.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from torch import Tensor

MANIFEST = "aligned.json"
"""In the cache: what each face was aligned by, and in which photos none was found."""

DETECTED = "detected"
"""What a face was aligned by where no landmarks were given."""

_THREADS = 4
_AHEAD = 64
_NOTE_EVERY = 2000  # photos; what a crash loses


def align_photos(
    root: Path,
    photos: Sequence[str],
    *,
    into: Path,
    points: Mapping[str, Tensor] | None = None,
    write: bool = True,
    on_aligned: Callable[[int, int], None] | None = None,
) -> list[str]:
    """Align photos into `into`, but for those that are there already; photos without a face are left out.

    The face of a/b.jpg is a/b.jpg.png. Without landmarks it is the face nearest to the photo's centre; an image of
    112 x 112 then counts as aligned. A photo whose landmarks changed is aligned again, one whose bytes changed is not.

    Args:
        root: folder of the photos.
        photos: relative paths.
        into: the cache, of one `root` only.
        points: landmarks by path; None to detect.
        write: whether missing faces may be made.
        on_aligned: called with the number of photos that are done and that of all.

    Returns:
        Paths of the faces relative to `into`, in the order of their photos.

    Raises:
        ValueError: photos without landmarks where they are given, or a photo that cannot be read.
        OSError: a file that cannot be read or written.
    """
    absent = [photo for photo in photos if points is not None and photo not in points]
    if absent:
        raise ValueError(
            f"{root}: expected landmarks of every photo, got none of {len(absent)}, such as {absent[0]}; "
            "leave landmarks out to detect them"
        )
    recipes = {photo: DETECTED if points is None else _digest(points[photo]) for photo in photos}
    known = _manifest(into)
    missing = [photo for photo in photos if known.get(photo, ("", False))[0] != recipes[photo]]
    if missing and not write:
        raise ValueError(f"{into}: expected faces that another process has aligned, found {len(missing)} missing")
    if missing:
        _align(root, missing, recipes, known, into, points, on_aligned)
    return [f"{photo}.png" for photo in photos if known[photo][1]]


def _align(
    root: Path,
    photos: Sequence[str],
    recipes: Mapping[str, str],
    known: dict[str, tuple[str, bool]],
    into: Path,
    points: Mapping[str, Tensor] | None,
    on_aligned: Callable[[int, int], None] | None,
) -> None:
    """Write faces, and enter photos into `known` and into the manifest as they are done."""
    detector = Detector(threads=1) if points is None else None
    reader = PhotoReader(root=root, paths=photos, points=points, detector=detector)

    def one(index: int) -> bool:
        face, found = reader(index)
        if found:
            write_atomically(into / f"{photos[index]}.png", encode(to_array(face)))
        return found

    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="facemin-align")
    waiting: deque[Future[bool]] = deque()
    try:
        for done, photo in enumerate(photos, 1):
            while len(waiting) < _AHEAD and (at := done - 1 + len(waiting)) < len(photos):
                waiting.append(pool.submit(one, at))
            known[photo] = recipes[photo], waiting.popleft().result()
            if done % _NOTE_EVERY == 0:
                _write_manifest(into, known)
            if on_aligned is not None:
                on_aligned(done, len(photos))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        _write_manifest(into, known)


def _digest(points: Tensor) -> str:
    return hashlib.sha256(points.numpy().tobytes()).hexdigest()[:16]


def _write_manifest(into: Path, known: Mapping[str, tuple[str, bool]]) -> None:
    write_atomically(into / MANIFEST, json.dumps({"version": 1, "photos": known}, indent=0).encode())


def _manifest(into: Path) -> dict[str, tuple[str, bool]]:
    """Of each photo: what it was aligned by, and whether a face was found."""
    path = into / MANIFEST
    if not path.is_file():
        return {}
    try:
        photos = json.loads(path.read_bytes())["photos"]
        return {str(photo): (str(recipe), bool(found)) for photo, (recipe, found) in photos.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{path}: expected what facemin wrote about a cache of faces; remove the cache") from None

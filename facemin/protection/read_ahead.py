"""Read-ahead: the next photo is decoded by a second thread while the first works on the one before it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from facemin.image import open_jpeg
from facemin.protection.sources import read_photo

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from facemin.image import Photo
    from facemin.protection.sources import AnyPhoto

WORTH_A_THREAD = 1_000_000
"""Pixels of a JPEG that takes about 10 ms to decode; below, handing it over costs as much as it saves."""


def read_each(photos: Iterable[AnyPhoto], *, max_pixels: int) -> Iterator[tuple[AnyPhoto, Callable[[], Photo]]]:
    """Photos, each with what reads it at its turn."""
    for photo in photos:
        yield photo, partial(read_photo, photo, max_pixels=max_pixels)


def read_ahead(photos: Iterable[AnyPhoto], *, max_pixels: int) -> Generator[tuple[AnyPhoto, Callable[[], Photo]]]:
    """As `read_each`, with large JPEGs decoded while the caller works on the photo before.

    Decoding takes one core, and so does most of what is done with a photo; on two cores they overlap. One photo more
    is in memory.

    Args:
        photos: drawn one ahead.
        max_pixels: most pixels that a photo may have.

    Yields:
        A photo, and a function, to be called at most once and before the next photo is drawn, that reads it or raises
        what `read_photo` raises.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="facemin-decode") as decoder:
        try:
            waiting = None
            for photo in photos:
                begun = photo, _begun(photo, decoder, max_pixels)
                if waiting is not None:
                    yield waiting
                waiting = begun
            if waiting is not None:
                yield waiting
        finally:
            decoder.shutdown(wait=True, cancel_futures=True)


def _begun(photo: AnyPhoto, decoder: ThreadPoolExecutor, max_pixels: int) -> Callable[[], Photo]:
    if isinstance(photo, str | bytes | Path):
        # what is wrong with it is said at its turn
        with suppress(ValueError, OSError):
            opened = open_jpeg(photo, max_pixels=max_pixels)
            if opened is not None:
                return decoder.submit(opened.load).result if opened.pixels >= WORTH_A_THREAD else opened.load
    return partial(read_photo, photo, max_pixels=max_pixels)

"""Memory of decoded pixels, kept by Pillow from one photo to the next."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import _imaging as pillow

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCKS = 4
"""Blocks of 16 MiB that are kept: a photo of 16 megapixels, at Pillow's four bytes a pixel."""


@dataclass
class _Holders:
    """Who wants it kept, and how many blocks Pillow kept before anybody did."""

    count: int = 0
    before: int = 0


_HOLDERS, _ONE_AT_A_TIME = _Holders(), threading.Lock()


@contextmanager
def pixel_memory_kept() -> Iterator[None]:
    """Keep the memory of a photo's pixels for the next photo within this block, and give it back at its end.

    Pillow gives every image's memory back to the system, which has to clear it before it hands it out again: a quarter
    of the time that a JPEG of 12 megapixels takes to decode.
    """
    with _ONE_AT_A_TIME:
        if not _HOLDERS.count:
            _HOLDERS.before = pillow.get_blocks_max()
            pillow.set_blocks_max(max(BLOCKS, _HOLDERS.before))
        _HOLDERS.count += 1
    try:
        yield
    finally:
        with _ONE_AT_A_TIME:
            _HOLDERS.count -= 1
            if not _HOLDERS.count:
                pillow.set_blocks_max(_HOLDERS.before)

"""Files in answers: sent a piece at a time, and not at all where the client has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHUNK = 64 << 10


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    """The one copy in memory, a piece at a time: however slowly somebody reads, they hold no copy of their own."""
    for at in range(0, len(data), CHUNK):
        yield data[at : at + CHUNK]


def is_known(etag: str, known: str | None) -> bool:
    """Whether an If-None-Match names a file's ETag."""
    return known is not None and etag in (part.strip().removeprefix("W/") for part in known.split(","))

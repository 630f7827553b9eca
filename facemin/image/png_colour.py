"""Coding-independent code points of a PNG's colours (cICP).

Source: PNG specification, third edition, 11.3.2.6; ITU-T H.273.
"""

from typing import BinaryIO

BT_709 = 1
"""Primaries of sRGB."""
SRGB_LIKE = frozenset({1, 6, 13, 14, 15})
"""Transfer functions that images are exchanged by as if they were sRGB's."""
HDR = {16: "PQ", 18: "HLG"}
"""Transfer functions of high dynamic range."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_CHUNKS = 1000


def read_cicp(stream: BinaryIO) -> tuple[int, int] | None:
    """Primaries and transfer function that a PNG names before its pixels; None where it names none.

    Args:
        stream: of a PNG; left where it was.
    """
    place = stream.tell()
    try:
        stream.seek(0)
        if stream.read(8) != _SIGNATURE:
            return None
        for _ in range(_MOST_CHUNKS):
            head = stream.read(8)
            length, kind = int.from_bytes(head[:4], "big"), head[4:]
            if kind == b"cICP" and length == 4:
                primaries, transfer, *_rest = stream.read(4)
                return primaries, transfer
            if kind in (b"IDAT", b"IEND") or len(head) < 8:
                return None
            stream.seek(length + 4, 1)
        return None
    finally:
        stream.seek(place)


def coded_colours(stream: BinaryIO) -> list[str]:
    """What to know of the colours that a PNG's cICP chunk names, which Pillow passes over.

    Source: PNG specification, third edition, 11.3.2.6; ITU-T H.273, tables 2 and 3.

    Raises:
        ValueError: levels of high dynamic range, which no 8-bit sRGB is.
    """
    found = read_cicp(stream)
    if found is None:
        return []
    primaries, transfer = found
    if transfer in HDR:
        raise ValueError(f"levels of high dynamic range ({HDR[transfer]}); export it in sRGB")
    if primaries != BT_709 or transfer not in SRGB_LIKE:
        return [f"its colours (cICP {primaries}, {transfer}) were read as sRGB's"]
    return []

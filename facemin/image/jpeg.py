"""JPEG's markers: the scans of a file's first image, and whether it lacks nothing but its end."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image, ImageChops

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_SCANS = 200
"""Progressive files have about ten; each further one costs a pass over the whole image for a few bytes."""
START, END = b"\xff\xd8\xff", b"\xff\xd9"

_MOST_SEGMENTS = 20_000  # an extended XMP of 30 MB takes 500
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]", re.DOTALL)
_IMAGE, _END, _SCAN = 0xD8, 0xD9, 0xDA
_FRAMES = frozenset((*range(0xC0, 0xD0),)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
_COEFFICIENTS = 64
_UNSENT = 15
_BLOCK = 1 << 20
_FURTHER_BITS = (b"\x55" * 64, b"\xaa" * 64, b"\xfe" * 64)
"""What might have followed, beside no bytes at all, which are read as zeros: a first missing bit of either kind."""
_TAIL = 16  # bytes that a whole scan cannot do without


@dataclass(kw_only=True)
class Marks:
    """What stands in the first image of a file.

    Attributes:
        scans: number of scans; counting stops above `MOST_SCANS`.
        ended: whether its end marker was found.
        in_scan: whether the file stops within a scan's coded data.
        unsent: by component, how many low bits of each coefficient no scan has sent.
    """

    scans: int = 0
    ended: bool = False
    in_scan: bool = False
    unsent: dict[int, list[int]] = field(default_factory=dict)

    @property
    def every_scan_began(self) -> bool:
        """Whether the scans, taken to their ends, send every coefficient in full."""
        return bool(self.unsent) and not any(any(bits) for bits in self.unsent.values())


def read_marks(stream: BinaryIO) -> Marks:
    """Walk the markers of a JPEG's first image; what lies behind its end (video, further pictures) is not looked at.

    Raises:
        ValueError: more than `MOST_SCANS` scans, or endless segments.
    """
    marks, place, progressive = Marks(), 2, False
    for _ in range(_MOST_SEGMENTS):
        found = _next_marker(stream, place)
        if found is None:
            return marks
        code, place = found
        marks.ended, marks.in_scan = code == _END, False
        if code in (_END, _IMAGE):
            return marks
        stream.seek(place)
        length = int.from_bytes(stream.read(2), "big")
        if code in _FRAMES:
            progressive = code in _PROGRESSIVE
            components = stream.read(max(0, length - 2))[6::3]
            marks.unsent = {number: [_UNSENT] * _COEFFICIENTS for number in components}
        elif code == _SCAN:
            marks.scans, marks.in_scan = marks.scans + 1, True
            _count_sent(marks, stream.read(max(0, length - 2)), progressive=progressive)
            if marks.scans > MOST_SCANS:
                raise ValueError(f"more than {MOST_SCANS} scans")
        place += max(2, length)
    raise ValueError(f"more than {_MOST_SEGMENTS} segments")


def lacks_only_its_end(data: bytes, open_image: Callable[[bytes], Image.Image]) -> bool:
    """Whether a JPEG whose bytes stop within its last scan shows every pixel.

    Where coded data is missing, what is put in its place shows in the pixels; where none is, decoders pass it over.

    Args:
        data: the file, without an end marker and without the half of one.
        open_image: Pillow's opening and loading of a file's bytes.
    """
    return _same_whatever_follows(data, open_image) and not _same_whatever_follows(data[:-_TAIL], open_image)


def _same_whatever_follows(data: bytes, open_image: Callable[[bytes], Image.Image]) -> bool:
    try:
        first = open_image(data + END)
        for more in _FURTHER_BITS:
            other = open_image(data + more + END)
            if ImageChops.difference(first, other).getbbox() is not None:
                return False
    except (OSError, ValueError, SyntaxError):
        return False
    return True


def _next_marker(stream: BinaryIO, place: int) -> tuple[int, int] | None:
    """The code of the first marker from a place on, and the place behind it."""
    stream.seek(place)
    tail, size = b"", 64
    while part := stream.read(size):
        block, size = tail + part, _BLOCK
        if found := _MARKER.search(block):
            return block[found.end() - 1], place + found.end()
        place += len(block) - 1
        tail = block[-1:]
    return None


def _count_sent(marks: Marks, header: bytes, *, progressive: bool) -> None:
    """Source: ITU-T T.81, B.2.3: components, first and last coefficient, bits kept back."""
    count = header[0] if header else 0
    if len(header) < 4 + 2 * count:
        return
    first, last, bits = header[1 + 2 * count : 4 + 2 * count] if progressive else (0, _COEFFICIENTS - 1, 0)
    for number in header[1 : 1 + 2 * count : 2]:
        if number in marks.unsent:
            for place in range(first, min(last, _COEFFICIENTS - 1) + 1):
                marks.unsent[number][place] = bits & 15

"""RecordIO framing: byte records in one file, read at an offset, without MXNet.

A part is the magic, a word of three flag bits and a 29-bit length, the bytes, and zeros up to a multiple of
four. Where the bytes themselves hold the magic at a multiple of four the writer splits them there and leaves
the magic out, so that a reader can find its way in a damaged file; the parts are joined with the magic again.
Source: dmlc-core, include/dmlc/recordio.h.
"""

import struct
from typing import BinaryIO

MAGIC = 0xCED7230A
# The largest record held in memory; an aligned face takes a few kilobytes.
MAX_RECORD = 1 << 26

_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)


def read_record(file: BinaryIO, offset: int, size: int) -> tuple[bytes, int]:
    """Read the record that begins at an offset.

    Args:
        file: the record file, open for reading.
        offset: where the record begins, in bytes, a multiple of four.
        size: the file's size in bytes.

    Returns:
        The record's bytes and the offset at which the next record begins.

    Raises:
        ValueError: no record begins there, or it is cut off, damaged or beyond 64 MiB; names the offset.
    """
    parts: list[bytes] = []
    at, length = offset, 0
    while True:
        flag, part, at = _read_part(file, at, size)
        if flag not in ((_MIDDLE, _LAST) if parts else (_WHOLE, _FIRST)):
            raise ValueError(f"record at byte {offset}: a part with flag {flag} is out of order")
        parts.append(part)
        length += len(part) + 4
        if length > MAX_RECORD:
            raise ValueError(f"record at byte {offset}: expected at most {MAX_RECORD} bytes, got more")
        if flag in (_WHOLE, _LAST):
            return struct.pack("<I", MAGIC).join(parts), at


def _read_part(file: BinaryIO, offset: int, size: int) -> tuple[int, bytes, int]:
    if offset < 0 or offset % 4 or offset + 8 > size:
        raise ValueError(f"record at byte {offset}: no record can begin there in a file of {size} bytes")
    file.seek(offset)
    head = file.read(8)
    if len(head) != 8:
        raise ValueError(f"record at byte {offset}: cut off; the file has changed since it was opened")
    magic, word = struct.unpack("<II", head)
    if magic != MAGIC:
        raise ValueError(f"record at byte {offset}: expected the magic {MAGIC:#x}, got {magic:#x}")
    flag, length = word >> 29, word & 0x1FFFFFFF
    end = offset + 8 + (length + 3) // 4 * 4
    if end > size:
        raise ValueError(f"record at byte {offset}: {length} bytes declared, {size - offset - 8} left")
    if length > MAX_RECORD:
        raise ValueError(f"record at byte {offset}: expected at most {MAX_RECORD} bytes, got {length}")
    part = file.read(length)
    if len(part) != length:
        raise ValueError(f"record at byte {offset}: cut off; the file has changed since it was opened")
    return flag, part, end

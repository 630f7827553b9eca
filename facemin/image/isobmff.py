"""ISO base media files (AVIF, HEIC): boxes, and the items whose bytes they point to; ISO/IEC 14496-12."""

from collections.abc import Iterator


def contents(data: bytes, *once: bytes) -> dict[bytes, bytes]:
    """Boxes by kind; of the kinds in `once`, a second would leave open which of the two a decoder takes."""
    found: dict[bytes, bytes] = {}
    for kind, body in boxes(data):
        if kind in found and kind in once:
            raise ValueError(f"two boxes {kind.decode('latin-1')!r}")
        found[kind] = body
    return found


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The boxes in some bytes, kind and content."""
    place = 0
    while place + 8 <= len(data):
        size, head = int.from_bytes(data[place : place + 4], "big"), 8
        kind = data[place + 4 : place + 8]
        if size == 1:
            size, head = int.from_bytes(data[place + 8 : place + 16], "big"), 16
        end = len(data) if size == 0 else place + size
        if end < place + head:
            raise ValueError(f"a box of {size} bytes")
        yield kind, data[place + head : end]
        place = end


def primary(body: bytes) -> int:
    """The number of the item that is the image, from `pitm`."""
    return int.from_bytes(body[4:6] if body[0] == 0 else body[4:8], "big")


def kinds(body: bytes) -> dict[int, bytes]:
    """Items' types by their numbers, from `iinf`."""
    kinds = {}
    for kind, entry in boxes(body[6 if body[0] == 0 else 8 :]):
        if kind == b"infe" and entry[0] >= 2:
            wide = 2 if entry[0] == 2 else 4
            kinds[int.from_bytes(entry[4 : 4 + wide], "big")] = entry[6 + wide : 10 + wide]
    return kinds


def items(body: bytes, data: bytes, inline: bytes) -> Iterator[tuple[int, bytes]]:
    """Items by number with their bytes, from `iloc`, the file and `idat`."""
    version, place = body[0], 6
    budget = 4 * len(data) + 4096
    offset_size, length_size = body[4] >> 4, body[4] & 15
    base_size, index_size = body[5] >> 4, body[5] & 15 if version else 0

    def number(size: int) -> int:
        nonlocal place
        if place + size > len(body):
            raise IndexError
        place += size
        return int.from_bytes(body[place - size : place], "big")

    for _ in range(number(2 if version < 2 else 4)):
        item = number(2 if version < 2 else 4)
        method = number(2) & 15 if version else 0
        number(2)
        base = number(base_size)
        parts: list[bytes] = []
        for _ in range(number(2)):
            number(index_size)
            start, length = base + number(offset_size), number(length_size)
            source = inline if method == 1 else data
            parts.append(source[start : start + length] if length else source[start:])
            budget -= len(parts[-1])
            if budget < 0:
                raise ValueError("items that overlap endlessly")
        if method > 1:
            raise ValueError("an item made of other items' bytes")
        yield item, b"".join(parts)

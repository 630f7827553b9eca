"""AVIF and HEIC: the sizes that the coded pictures in a file decode to, whatever its boxes declare."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from facemin.image.isobmff import boxes, contents, items, kinds, primary

Size = tuple[int, int]

_READ = frozenset((b"av01", b"hvc1", b"hev1", b"grid", b"iovl", b"iden", b"tmap"))
_CODERS = frozenset((b"avc1", b"evc1", b"vvc1", b"vvi1", b"lhv1", b"jpeg", b"j2k1", b"j2ki", b"unci", b"mski"))
_SEQUENCE, _FRAME_HEADER, _FRAME = 1, 3, 6  # kinds of OBU, AV1 specification, 6.2.2
_SEQUENCE_PARAMETERS = 33  # kind of NAL unit, ITU-T H.265, table 7-1
_SELECT, _SWITCH = 2, 3


def coded_sizes(data: bytes) -> list[Size]:
    """Width and height of every coded picture and every canvas in the items of a file.

    A decoder allocates these, not what `ispe` declares. Sources: ISO/IEC 14496-12, 8.11 (items); 23008-12, 6.6.2
    (grid, overlay); AV1 specification, 5.5 and 5.9; ITU-T H.265, 7.3.2.2.

    Raises:
        ValueError: boxes or bitstreams that cannot be followed, or a picture coded by something else.
    """
    try:
        meta = contents(contents(data, b"meta")[b"meta"][4:], b"iinf", b"iloc", b"pitm", b"idat", b"iprp")
        types = kinds(meta[b"iinf"])
        _check_coders(types.get(primary(meta[b"pitm"]), b""), set(types.values()))
        sizes: list[Size] = []
        for number, item in items(meta[b"iloc"], data, meta.get(b"idat", b"")):
            sizes += _sizes_in(types.get(number, b""), item)
        for kind, body in boxes(contents(meta.get(b"iprp", b""), b"ipco").get(b"ipco", b"")):
            sizes += _hevc_settings(body) if kind == b"hvcC" else []
    except (KeyError, IndexError) as error:
        raise ValueError("boxes that cannot be followed") from error
    return sizes


def _check_coders(main: bytes, others: set[bytes]) -> None:
    """Refuse what would be decoded and is not understood here; a thumbnail would not be."""
    unread = {main} - _READ
    if main not in (b"av01", b"hvc1", b"hev1"):
        unread |= _CODERS & others
    if unread:
        raise ValueError(f"a picture coded as {min(unread).decode('latin-1')!r}")


def _sizes_in(kind: bytes, item: bytes) -> list[Size]:
    if kind == b"av01":
        return list(_av1(item))
    if kind in (b"hvc1", b"hev1"):
        return list(_hevc(item))
    if kind in (b"grid", b"iovl"):
        wide, start = (4 if item[1] & 1 else 2), (4 if kind == b"grid" else 10)
        width, height = item[start : start + wide], item[start + wide : start + 2 * wide]
        return [(int.from_bytes(width, "big"), int.from_bytes(height, "big"))]
    return []


class _Bits:
    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def __call__(self, count: int) -> int:
        last = self._place + count
        if last > 8 * len(self._data):
            raise IndexError
        first, self._place = self._place, last
        value = int.from_bytes(self._data[first // 8 : -(-last // 8)], "big") >> (-last % 8)
        return value & ((1 << count) - 1)

    def golomb(self) -> int:
        """ue(v) of H.265, uvlc() of AV1."""
        zeros = 0
        while not self(1):
            zeros += 1
        return (1 << zeros) - 1 + (self(zeros) if zeros else 0)


@dataclass(frozen=True, kw_only=True)
class _Sequence:
    """What a frame's header needs of its sequence's, up to its own size."""

    size: Size
    largest: Size
    reduced: bool
    id_bits: int
    time_bits: int
    screen_content: int
    integer_motion: int


def _av1(item: bytes) -> Iterator[Size]:
    place, sequence = 0, None
    while place < len(item):
        head = item[place]
        place += 2 if head & 4 else 1
        size = len(item) - place
        if head & 2:
            size, shift = 0, 0
            while True:
                byte = item[place]
                size, shift, place = size | (byte & 127) << shift, shift + 7, place + 1
                if byte < 128:
                    break
        body, kind = item[place : place + min(size, 512)], head >> 3 & 15
        if kind == _SEQUENCE:
            sequence = _av1_sequence(_Bits(body))
            yield sequence.size
        elif kind in (_FRAME, _FRAME_HEADER) and sequence and _names_its_size(_Bits(body), sequence):
            yield sequence.largest
        place += size


def _av1_sequence(bits: _Bits) -> _Sequence:
    bits(4)
    reduced = bool(bits(1))
    time_bits = 0
    if reduced:
        bits(5)
    else:
        time_bits = _av1_operating_points(bits)
    wide, high = bits(4) + 1, bits(4) + 1
    size = bits(wide) + 1, bits(high) + 1
    id_bits, screen_content, integer_motion = 0, _SELECT, _SELECT
    if not reduced and bits(1):
        difference = bits(4) + 2
        id_bits = bits(3) + difference + 1
    bits(3)
    if not reduced:
        bits(4)
        if bits(1):
            bits(2)
        screen_content = _SELECT if bits(1) else bits(1)
        if screen_content:
            integer_motion = _SELECT if bits(1) else bits(1)
    return _Sequence(
        size=size,
        largest=(1 << wide, 1 << high),
        reduced=reduced,
        id_bits=id_bits,
        time_bits=time_bits,
        screen_content=screen_content,
        integer_motion=integer_motion,
    )


def _av1_operating_points(bits: _Bits) -> int:
    """Pass over a sequence's timing and operating points; the bits that a frame's time takes."""
    delay_bits = time_bits = 0
    if bits(1):
        bits(64)
        equal = bits(1)
        if equal:
            bits.golomb()
        if bits(1):
            delay_bits = bits(5) + 1
            bits(37)
            time_bits = (bits(5) + 1) * (not equal)
    display_delay = bits(1)
    for _ in range(bits(5) + 1):
        bits(12)
        if bits(5) > 7:
            bits(1)
        if delay_bits and bits(1):
            bits(2 * delay_bits + 1)
        if display_delay and bits(1):
            bits(4)
    return time_bits


def _names_its_size(bits: _Bits, sequence: _Sequence) -> bool:
    """Whether a frame's header overrides the size of its sequence; AV1 specification, 5.9.2."""
    if sequence.reduced or bits(1):
        return False
    kind, shown = bits(2), bits(1)
    bits(sequence.time_bits if shown else 1)
    if not (kind == _SWITCH or (kind == 0 and shown)):
        bits(1)
    bits(1)
    screen_content = bits(1) if sequence.screen_content == _SELECT else sequence.screen_content
    if screen_content and sequence.integer_motion == _SELECT:
        bits(1)
    bits(sequence.id_bits)
    return kind == _SWITCH or bool(bits(1))


def _hevc_settings(body: bytes) -> list[Size]:
    """Sizes in an `hvcC` box: ISO/IEC 14496-15, 8.3.3.1."""
    sizes, place = [], 23
    for _ in range(body[22]):
        count = int.from_bytes(body[place + 1 : place + 3], "big")
        place += 3
        for _ in range(count):
            length = int.from_bytes(body[place : place + 2], "big")
            sizes += _hevc_unit(body[place + 2 : place + 2 + length])
            place += 2 + length
            if place > len(body):
                raise IndexError
    return sizes


def _hevc(item: bytes) -> Iterator[Size]:
    place = 0
    while place + 4 <= len(item):
        length = int.from_bytes(item[place : place + 4], "big")
        yield from _hevc_unit(item[place + 4 : place + 4 + length])
        place += 4 + length


def _hevc_unit(unit: bytes) -> list[Size]:
    if len(unit) < 2 or unit[0] >> 1 & 63 != _SEQUENCE_PARAMETERS:
        return []
    bits = _Bits(unit[2:512].replace(b"\0\0\3", b"\0\0"))
    bits(4)
    layers = bits(3)
    bits(1 + 88 + 8)
    present = [(bits(1), bits(1)) for _ in range(layers)]
    if layers:
        bits(2 * (8 - layers))
    for profile, level in present:
        bits(88 * profile + 8 * level)
    bits.golomb()
    if bits.golomb() == 3:
        bits(1)
    return [(bits.golomb(), bits.golomb())]

"""A photo in what was sent, in whatever coding: found by correlation with it and with its face, at every size."""

import base64
import binascii
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from facemin.image import Pixels

Doubles = NDArray[np.float64]

IMAGE_LIMIT = 0.45
"""Correlation of a sent image with a photo from which it counts as one; `test_leaks` has what is measured."""
RAW_LIMIT = 0.5
"""The same for pixels that lie bare in a body."""
RAW_DEVIATIONS = 10.0
"""Of chance, at least: of 200,000 features one held 256 pixels of a photo or of its face, at some place, by 0.494."""
MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM", b"II*\x00", b"MM\x00*")
SIDES = (16, 24, 32, 48, 64, 96, 112, 128, 160, 224)
DEPTH = 4
LEAST = 64


@dataclass(frozen=True)
class Subject:
    """A picture that must not be sent."""

    name: str
    pixels: Pixels

    def grey(self, width: int, height: int) -> Doubles:
        return np.asarray(Image.fromarray(self.pixels).convert("L").resize((width, height)), np.float64)

    @cached_property
    def flat(self) -> list[tuple[str, Doubles]]:
        """The pixels as they may lie in memory, at several sizes, around their mean."""
        found = []
        for side in SIDES:
            height, width, _ = self.pixels.shape
            size = (side, max(1, round(side * height / width)))
            small = np.asarray(Image.fromarray(self.pixels).resize(size), np.float64)
            alpha = np.concatenate([small, np.full((*small.shape[:2], 1), 255.0)], axis=2)
            for layout, values in (
                ("interleaved", small),
                ("with alpha", alpha),
                ("planes", small.transpose(2, 0, 1)),
                ("grey", small.mean(axis=2)),
            ):
                found.append((f"{layout} {size[0]} x {size[1]}", values.ravel() - values.mean()))
        return found


def leaks(body: bytes, subjects: list[Subject]) -> list[str]:
    """Which pictures a body holds, and how."""
    found = set()
    # one text may unpack to the same bytes in several ways
    for piece in dict.fromkeys(pieces(body)):
        for image in images(piece):
            found |= {f"{each.name}: an image" for each in subjects if likeness(image, each) >= IMAGE_LIMIT}
        for view, values in views(piece):
            for each in subjects:
                found |= {f"{each.name}: {view}, {how}" for how in bare(values, each)}
    for values in numbers(body):
        for each in subjects:
            found |= {f"{each.name}: JSON numbers, {how}" for how in bare(values, each)}
    return sorted(found)


def pieces(data: bytes, depth: int = DEPTH) -> Iterator[bytes]:
    """The body, and everything that can be unpacked from it."""
    yield data
    if depth == 0:
        return
    for inner in (*unpacked(data), *decoded(data), *strings(data)):
        if len(inner) >= LEAST and inner != data:
            yield from pieces(inner, depth - 1)


def unpacked(data: bytes) -> Iterator[bytes]:
    for unpack in (gzip.decompress, zlib.decompress, lambda packed: zlib.decompress(packed, -15)):
        with suppress(OSError, EOFError, zlib.error):
            yield unpack(data)


def decoded(data: bytes) -> Iterator[bytes]:
    text = data.strip()
    # what stands before it in a data: URL
    text = text.partition(b";base64,")[2] or text
    with suppress(binascii.Error, ValueError):
        yield bytes.fromhex(text.decode("ascii"))
    for alphabet in (b"+/", b"-_"):
        with suppress(binascii.Error, ValueError):
            yield base64.b64decode(text + b"=" * (-len(text) % 4), altchars=alphabet, validate=True)


def strings(data: bytes) -> list[bytes]:
    return [value.encode() for value in walk(parse(data)) if isinstance(value, str)]


def numbers(data: bytes) -> list[Doubles]:
    """Long lists of numbers in JSON, flattened."""
    lists = [value for value in walk(parse(data)) if isinstance(value, list)]
    flat = [[each for each in walk(value) if isinstance(each, int | float)] for value in lists]
    return [np.asarray(values, np.float64) for values in flat if len(values) >= LEAST]


def parse(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def walk(value: Any) -> Iterator[Any]:
    yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inner:
        yield from walk(each)


def images(data: bytes) -> Iterator[Pixels]:
    """Every picture whose file begins anywhere in the data."""
    for magic in MAGIC:
        at = data.find(magic)
        while at >= 0:
            with suppress(UnidentifiedImageError, OSError, SyntaxError, ValueError):
                picture = Image.open(io.BytesIO(data[at:])).convert("RGB")
                if min(picture.size) >= 8:
                    yield np.asarray(picture)
            at = data.find(magic, at + 1)


def likeness(image: Pixels, subject: Subject) -> float:
    """Greatest correlation of an image with the picture at its size, as it is and by its details, mirrored or not."""
    height, width, _ = image.shape
    sent = np.asarray(Image.fromarray(image).convert("L"), np.float64)
    known = subject.grey(width, height)
    pairs = [(sent, known), (sent[:, ::-1], known)]
    return max(
        max(abs(correlation(one, other)), 2 * abs(correlation(details(one), details(other)))) for one, other in pairs
    )


def details(grey: Doubles) -> Doubles:
    """What is left of an image without its coarse light and shade, which all faces share."""
    size = (max(1, grey.shape[1] // 8), max(1, grey.shape[0] // 8))
    coarse = Image.fromarray(grey.astype(np.float32)).resize(size, Image.Resampling.BOX)
    return grey - np.asarray(coarse.resize(grey.shape[::-1], Image.Resampling.BICUBIC), np.float64)


def correlation(one: Doubles, other: Doubles) -> float:
    one, other = one.ravel() - one.mean(), other.ravel() - other.mean()
    norm = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / norm if norm > 0 else 0.0


def views(data: bytes) -> Iterator[tuple[str, Doubles]]:
    """The data as numbers of each kind that pixels come in, at each alignment."""
    for kind in ("u1", "<f4", "<f2"):
        size = np.dtype(kind).itemsize
        for start in range(size):
            cut = data[start : start + (len(data) - start) // size * size]
            with np.errstate(invalid="ignore", over="ignore"):
                values = np.frombuffer(cut, kind).astype(np.float64)
            sane = np.isfinite(values) & (np.abs(values) < 1e5)
            # of pixels all are; of other bytes read as floats few
            if len(values) >= LEAST and sane.mean() > 0.5:
                yield f"bare {kind}", np.where(sane, values, 0.0)


def bare(values: Doubles, subject: Subject) -> Iterator[str]:
    """How a picture lies in a row of numbers, if it does: normalised cross-correlation at every offset."""
    length = len(values)
    size = 1 << (length - 1).bit_length()
    spectrum = np.fft.rfft(values, size)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    squares = np.concatenate([[0.0], np.cumsum(values**2)])
    for how, template in subject.flat:
        count = len(template)
        if count > length or count < LEAST:
            continue
        product = np.fft.irfft(spectrum * np.conj(np.fft.rfft(template, size)), size)[: length - count + 1]
        total, square = sums[count:] - sums[:-count], squares[count:] - squares[:-count]
        spread = np.sqrt(np.maximum(square - total**2 / count, 1e-9)) * np.linalg.norm(template)
        if float(np.abs(product / spread).max()) >= max(RAW_LIMIT, RAW_DEVIATIONS / count**0.5):
            yield how

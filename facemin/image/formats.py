"""Image formats that are read, and the opening of a file by its brand with its coded sizes checked first."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image, features

from facemin.image.coded_size import coded_sizes

if TYPE_CHECKING:
    from collections.abc import Callable

# Few and named, because every further Pillow decoder (EPS runs Ghostscript) is more surface for an attacker.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "AVIF", "HEIF")
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1"))
_AVIF_BRANDS = frozenset((b"avif", b"avis"))

_PNG = b"\x89PNG\r\n\x1a\n"
_SHORT_CHUNK, _MOST_SHORT_CHUNKS = 1024, 10_000
"""Bytes of a PNG's chunk that no encoder splits its pixels into; and how many such there may be: each costs as much as
a long one to look at."""
_MOST_TOGETHER = 4
"""Images' worth of pixels in one AVIF: the picture, its transparency, a brightness map, thumbnails."""


def open_image(stream: BinaryIO, head: bytes, max_pixels: int) -> Image.Image:
    """Pillow's image of a file, none of its pixels decoded yet.

    Args:
        stream: the file.
        head: its first bytes, which say what it is.
        max_pixels: most pixels that a picture in it may have.

    Raises:
        ValueError: coded pictures that are too large, or a format that needs another package.
        OSError: none of `FORMATS`, or damaged.
    """
    brands = {head[i : i + 4] for i in range(8, len(head), 4)} if head[4:8] == b"ftyp" else set()
    if brands & _AVIF_BRANDS:
        if not features.check("avif"):
            raise ValueError("an AVIF image, which this Pillow was built without")
        stream.seek(0)
        # Called a still image, a sequence is read by its items too, whose sizes are known.
        data = head[:8] + b"avif" + stream.read()[12:]
        _check_coded_sizes(data, max_pixels)
        return Image.open(BytesIO(data), formats=("AVIF",))
    if brands & _HEIF_BRANDS:
        return _open_heif(stream, max_pixels)
    if head.startswith(_PNG):
        _check_png_chunks(stream)
    stream.seek(0)
    return Image.open(stream, formats=FORMATS[:-2])


def _check_png_chunks(stream: BinaryIO) -> None:
    """Refuse a PNG of endlessly many chunks."""
    stream.seek(len(_PNG))
    short = 0
    while len(head := stream.read(8)) == 8 and head[4:] != b"IEND":
        length = int.from_bytes(head[:4], "big")
        short += length < _SHORT_CHUNK
        if short > _MOST_SHORT_CHUNKS:
            raise ValueError(f"more than {_MOST_SHORT_CHUNKS} chunks of less than {_SHORT_CHUNK} bytes")
        stream.seek(length + 4, 1)


def _check_coded_sizes(data: bytes, max_pixels: int) -> None:
    """Refuse coded pictures that take more than is allowed, each and, of AVIF, whose tiles wait together, in sum."""
    total = 0
    for width, height in coded_sizes(data):
        # Coded pictures end on whole blocks of up to 64 pixels, behind the image's edge.
        pixels = max(0, width - 63) * max(0, height - 63)
        total += pixels
        if pixels > max_pixels:
            raise ValueError(f"coded pictures of {width} x {height} pixels; max_pixels raises the limit")
    if data[8:12] == b"avif" and total > _MOST_TOGETHER * max_pixels:
        raise ValueError(f"coded pictures of {total} pixels together")


def _open_heif(stream: BinaryIO, max_pixels: int) -> Image.Image:
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise ValueError("a HEIF image, which needs: pip install 'facemin[heic]'") from error
    # Pillow's plugin as a plain class: registering it would change Pillow for the whole process.
    opener: Callable[[BinaryIO], Image.Image] = HeifImageFile
    stream.seek(0)
    data = stream.read()
    _check_coded_sizes(data, max_pixels)
    return opener(BytesIO(data))

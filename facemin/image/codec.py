"""Bytes to arrays: the only place where an image is decoded."""

import logging
import os
import stat
import sys
import threading
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from facemin.image.colour import to_srgb
from facemin.image.exif import Turn, read_exif
from facemin.image.formats import FORMATS, open_image
from facemin.image.jpeg import END, START, lacks_only_its_end, read_marks
from facemin.image.png_colour import coded_colours
from facemin.image.walk import APPLE_DOUBLE
from facemin.runtime.errors import InvalidPhoto, told_as

Pixels: TypeAlias = NDArray[np.uint8]
"""An image in RGB, (H, W, 3), or several, (N, H, W, 3)."""
Source: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO

MAX_PIXELS = 64_000_000
"""Most pixels a photo may have unless the caller says otherwise: 50-megapixel phones, with room."""

_LARGEST_TILE = 1 << 20
"""Pixels of a TIFF's tile that are always accepted."""
_QUIET = threading.Lock()


@dataclass(frozen=True, kw_only=True, eq=False)
class Photo:
    """A decoded photo.

    Attributes:
        pixels: uint8 RGB (H, W, 3), upright, in sRGB.
        exif: what the file's EXIF says of time, place, camera and author, as `encode` takes it,
            or None; without the orientation, since the pixels are upright, and without thumbnail and maker
            note, since they show the face that is to be protected.
        format: one of `FORMATS`.
        notes: what a person should know of how the file was read, in words; mostly none.
    """

    pixels: Pixels
    exif: bytes | None
    format: str
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.pixels.shape))
        return f"<Photo {self.format}: {shape}{'' if self.exif is None else ', with EXIF'}>"


@told_as(InvalidPhoto)
def decode(
    source: Source, *, name: str | None = None, max_pixels: int = MAX_PIXELS, formats: Collection[str] = FORMATS
) -> Photo:
    """Decode one photo: upright, 8 bits a channel, sRGB, transparency on white, first frame.

    At its peak decoding a JPEG or PNG takes Pillow's four bytes a pixel beside the result's three; WebP's and AVIF's
    decoders hold further copies. Transparent pixels get white, as in a viewer and on paper: their own colour
    is whatever an editor left there. 16-bit samples are scaled so that 65535 becomes 255.

    Args:
        source: bytes, a path, or a binary stream; a seekable stream is read from its start, none is closed.
        name: what errors call the input; the path or the stream's own name if None.
        max_pixels: most pixels accepted, checked before a pixel is decoded on what the header declares and on what
            the coded data would take; above `MAX_PIXELS` it stands in the place of Pillow's own
            `Image.MAX_IMAGE_PIXELS`, which holds besides otherwise.
        formats: of `FORMATS`, those that are accepted; another one is refused on its header.

    Raises:
        ValueError: not a photo in one of `FORMATS`, too large, damaged, truncated or empty; an image whose
            samples have no agreed white (32-bit integers, floats); HEIF without the extra `heic`.
        OSError: a path that cannot be opened, as Python has it (FileNotFoundError, IsADirectoryError).
        TypeError: `source` is neither bytes, nor a path, nor a binary stream.
    """
    label = name or _name(source)
    with _stream(source) as stream:
        head = _head(stream, label)
        with _refusals(label, head, max_pixels, formats):
            return _open(stream, head, max_pixels, formats).photo()


class OpenedJpeg(NamedTuple):
    """A JPEG whose pixels are still to be decoded.

    Attributes:
        pixels: how many it has.
        load: gives and raises what `decode` would, in whatever thread; to be called once.
    """

    pixels: int
    load: Callable[[], Photo]


@told_as(InvalidPhoto)
def open_jpeg(source: Source, *, max_pixels: int = MAX_PIXELS) -> OpenedJpeg | None:
    """Read a JPEG's file and header, and leave its pixels to be decoded by whatever thread.

    What decoding changes for the whole process (the filters of warnings, Pillow's limit) is done here: a thread that
    decodes while others work must not hide their warnings.

    Args:
        source: as for `decode`.
        max_pixels: likewise.

    Returns:
        None for whatever is no JPEG.

    Raises:
        ValueError: as `decode`, as far as the header and the markers show it.
        OSError: likewise.
        TypeError: likewise.
    """
    label = _name(source)
    with _stream(source) as stream:
        head = _head(stream, label)
        if not head.startswith(START):
            return None
        stream.seek(0)
        with _refusals(label, head, max_pixels, FORMATS):
            opened = _open(BytesIO(stream.read()), head, max_pixels, FORMATS)

    def load() -> Photo:
        with told_as(InvalidPhoto), _refusals(label, head, max_pixels, FORMATS):
            return opened.photo()

    return OpenedJpeg(opened.image.width * opened.image.height, load)


def _name(source: Source) -> str:
    if isinstance(source, bytes | bytearray | memoryview):
        return f"image of {len(source)} bytes"
    return str(source) if isinstance(source, str | os.PathLike) else str(getattr(source, "name", "image stream"))


@contextmanager
def _stream(source: Source) -> Iterator[BinaryIO]:
    if isinstance(source, bytes | bytearray | memoryview):
        yield BytesIO(source)
    elif isinstance(source, str | os.PathLike):
        # a pipe would be waited for, a device may never end
        if Path(source).exists() and not stat.S_ISREG(Path(source).stat().st_mode) and not Path(source).is_dir():
            raise ValueError(f"{_name(source)}: expected a file, got a pipe or a device")
        with Path(source).open("rb") as file:
            yield file
    elif not hasattr(source, "read"):
        raise TypeError(f"source: expected bytes, a path or a binary stream, got {type(source).__name__}")
    elif source.seekable():
        source.seek(0)
        yield source
    else:
        yield BytesIO(source.read())


@contextmanager
def _quiet(max_pixels: int) -> Iterator[None]:
    """Keep Pillow's warnings and its log's errors from the user, and its limit from one that was raised.

    One thread at a time, because the filters that `warnings` saves and restores are the whole process's, and so is
    Pillow's limit.
    """
    log, silence = logging.getLogger("PIL"), logging.NullHandler()
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log.addHandler(silence)
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None and max_pixels > MAX_PIXELS:
            Image.MAX_IMAGE_PIXELS = max(limit, max_pixels)
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit
            log.removeHandler(silence)


def _either(formats: Collection[str]) -> str:
    *most, last = formats
    return f"{', '.join(most)} or {last}" if most else last


def _head(stream: BinaryIO, label: str) -> bytes:
    head = stream.read(64)
    if not isinstance(head, bytes):
        raise TypeError(f"{label}: expected a binary stream, got one whose read() gives {type(head).__name__}")
    return head


@contextmanager
def _refusals(label: str, head: bytes, max_pixels: int, formats: Collection[str]) -> Iterator[None]:
    """One refusal for whatever is raised: decoders answer hostile bytes with almost any exception."""
    if max_pixels < 1:
        raise ValueError(f"max_pixels: expected at least 1, got {max_pixels}")
    try:
        yield
    except Exception as error:
        got = f"bytes that begin {head[:8]!r}" if isinstance(error, UnidentifiedImageError) else error
        raise ValueError(
            f"{label}: expected a whole {_either(formats)} image of at most "
            f"{max_pixels} pixels, got {got or type(error).__name__}"
        ) from error


@dataclass(frozen=True, kw_only=True, eq=False)
class _Opened:
    """An image that Pillow opened and that may be decoded.

    Attributes:
        image: its pixels are not loaded, save where `exif` is None.
        kind: one of `FORMATS`.
        rawmode: how a PNG's samples lie, which is gone once it is loaded; "" for others.
        notes: see `Photo`.
        exif: what `read_exif` gives; None where the tags may stand behind the pixels.
    """

    image: Image.Image
    kind: str
    rawmode: str
    notes: tuple[str, ...]
    exif: tuple[Turn, bytes | None] | None

    def photo(self) -> Photo:
        """Decode the pixels. Of a JPEG it changes nothing but the image."""
        self.image.load()
        if self.exif is None:
            with _quiet(MAX_PIXELS):
                turn, exif = read_exif(self.image)
        else:
            turn, exif = self.exif
        return Photo(pixels=_upright(self.image, turn, self.rawmode), exif=exif, format=self.kind, notes=self.notes)


def _open(stream: BinaryIO, head: bytes, max_pixels: int, formats: Collection[str]) -> _Opened:
    if not head:
        raise ValueError("0 bytes")
    if head.startswith(APPLE_DOUBLE):
        raise ValueError("an AppleDouble file: what macOS keeps beside a photo, not the photo")
    notes = []
    with _quiet(max_pixels):
        image = open_image(stream, head, max_pixels)
        # Multi-picture files are JPEGs with further pictures behind the first.
        kind = "JPEG" if image.format == "MPO" else str(image.format)
        if kind not in formats:
            raise ValueError(f"a {kind} image")
        width, height = image.size
        if width < 1 or height < 1 or width * height > max_pixels:
            raise ValueError(f"{width} x {height} = {width * height} pixels; max_pixels raises the limit")
        if kind == "TIFF":
            _check_tiff(image, max_pixels)
        if kind == "PNG":
            notes += coded_colours(stream)
        # The pictures behind a JPEG's first are previews, depth and brightness.
        if head[4:12] == b"ftypavis" or (kind != "JPEG" and getattr(image, "is_animated", False)):
            notes.append("only the first picture of the file was read; it holds more")
        # Gone once the image is loaded.
        tiles = getattr(image, "tile", ())
        rawmode = str(tiles[0][3]) if kind == "PNG" and tiles else ""
        # These read tags while they load, which may warn; the others can decode in parallel.
        if kind in {"PNG", "TIFF"}:
            image.load()
    exif = None
    if kind == "JPEG":
        image, whole = _end_jpeg(image, stream)
        if not whole:
            notes.append("the JPEG lacked its end marker; every pixel is there")
        with _quiet(max_pixels):
            exif = read_exif(image)
    # A PNG may carry its EXIF behind the pixels, and a TIFF turns itself upright on loading.
    return _Opened(image=image, kind=kind, rawmode=rawmode, notes=tuple(notes), exif=exif)


def _end_jpeg(image: Image.Image, stream: BinaryIO) -> tuple[Image.Image, bool]:
    """The image to load, and whether its file has its end marker; where only that is missing, it is put there.

    Raises:
        ValueError: endlessly many scans, each a few bytes that cost a pass over the whole image.
    """
    place = stream.tell()
    marks = read_marks(stream)
    if not marks.ended and marks.in_scan:
        stream.seek(0)
        data = stream.read()
        # Half of an end marker may be left; a file system may have filled the rest.
        for part in (data.rstrip(b"\xff"), data.rstrip(b"\xff\0")):
            if marks.every_scan_began and lacks_only_its_end(part, _load_jpeg):
                return _load_jpeg(part + END), False
        raise ValueError("a JPEG that stops within its coded data")
    stream.seek(place)
    return image, True


def _load_jpeg(data: bytes) -> Image.Image:
    with _quiet(sys.maxsize):
        image = Image.open(BytesIO(data), formats=("JPEG",))
    image.load()
    return image


def _check_tiff(image: Image.Image, max_pixels: int) -> None:
    """Refuse a preview in the place of the photo, and tiles larger than any image may be.

    Raw files of cameras are TIFFs whose first picture is a small preview; a tile is inflated whole, whatever it shows.
    """
    tags = getattr(image, "tag_v2", {})
    kind = tags.get(ExifTags.Base.NewSubfileType, 0)
    if ExifTags.Base.DNGVersion in tags or (isinstance(kind, int) and kind & 1):
        raise ValueError("a TIFF whose first picture is a preview, as of a camera's raw file; export it as JPEG or PNG")
    sides = [int(tags.get(tag, 0)) for tag in (ExifTags.Base.TileWidth, ExifTags.Base.TileLength)]
    if sides[0] * sides[1] > max(max_pixels, _LARGEST_TILE):
        raise ValueError(f"tiles of {sides[0]} x {sides[1]} pixels")


def _upright(image: Image.Image, turn: Turn, rawmode: str) -> Pixels:
    """The image as (H, W, 3), turned upright.

    Strip by strip, each written where it belongs: beside Pillow's image and the result no third copy exists,
    whatever has to be done to the colours.
    """
    convert = to_srgb(image, rawmode)
    width, height = image.size
    upright = np.empty((width, height, 3) if turn.swapped else (height, width, 3), dtype=np.uint8)
    stored = upright.swapaxes(0, 1) if turn.swapped else upright
    stored = stored[:: -1 if turn.rows_reversed else 1, :: -1 if turn.columns_reversed else 1]
    rows = max(1, 2**18 // width)
    for top in range(0, height, rows):
        stored[top : top + rows] = convert(image.crop((0, top, width, min(top + rows, height))))
    return upright

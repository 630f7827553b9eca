"""Bytes to tensors and back: the only place where an image is decoded or encoded."""

import logging
import os
import threading
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError, features
from torch import Tensor

from facemin.colour import to_srgb
from facemin.exif import Turn, read_exif
from facemin.runtime.errors import InvalidPhoto, told_as

Source: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO
Encoding: TypeAlias = Literal["PNG", "JPEG", "WEBP"]

MAX_PIXELS = 64_000_000
"""Most pixels a photo may have unless the caller says otherwise: 50-megapixel phones, with room."""

# Few and named, because every further Pillow decoder (EPS runs Ghostscript) is more surface for an attacker.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "AVIF", "HEIF")
SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp"),
        *(".tif", ".tiff", ".avif", ".heic", ".heif", ".hif"),
    )
)
"""Lower-case file suffixes that a walk through a folder should take for photos."""

_HEIF_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1"))
_AVIF_BRANDS = frozenset((b"avif", b"avis"))

_EXIF_HEADER = b"Exif\x00\x00"
_EXIF_LIMIT = 65_533
_LONGEST_SIDE = {"PNG": 2**31 - 1, "JPEG": 65_500, "WEBP": 16_383}

_LARGEST_TILE = 1 << 20
"""Pixels of a TIFF's tile that are always accepted."""
_SCAN, _MOST_SCANS = b"\xff\xda", 200
"""Start of a JPEG's scan; progressive files have about ten, those of previews in their EXIF and behind counted too."""
_QUIET = threading.Lock()


@dataclass(frozen=True, kw_only=True, eq=False)
class Photo:
    """A decoded photo.

    Attributes:
        pixels: uint8 RGB (3, H, W), upright, in sRGB.
        exif: what the file's EXIF says of time, place, camera and author, as `encode` takes it,
            or None; without the orientation, since the pixels are upright, and without thumbnail and maker
            note, since they show the face that is to be protected.
        format: one of `FORMATS`.
    """

    pixels: Tensor
    exif: bytes | None
    format: str

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.pixels.shape))
        return f"<Photo {self.format}: {shape}{'' if self.exif is None else ', with EXIF'}>"


@told_as(InvalidPhoto)
def decode(
    source: Source, *, name: str | None = None, max_pixels: int = MAX_PIXELS, formats: Collection[str] = FORMATS
) -> Photo:
    """Decode one photo: upright, 8 bits a channel, sRGB, transparency on white, first frame.

    The tensor is a permuted view on (H, W, 3) memory, so `pixels.is_contiguous()` is False. At its peak
    decoding a JPEG or PNG takes Pillow's four bytes a pixel beside the result's three; WebP's and AVIF's
    decoders hold further copies. Transparent pixels get white, as in a viewer and on paper: their own colour
    is whatever an editor left there. 16-bit samples are scaled so that 65535 becomes 255.

    Args:
        source: bytes, a path, or a binary stream; a seekable stream is read from its start, none is closed.
        name: what errors call the input; the path or the stream's own name if None.
        max_pixels: most pixels accepted, checked on the header before a pixel is decoded; Pillow's own
            `Image.MAX_IMAGE_PIXELS` holds besides.
        formats: of `FORMATS`, those that are accepted; another one is refused on its header.

    Raises:
        ValueError: not a photo in one of `FORMATS`, too large, damaged, truncated or empty; an image whose
            samples have no agreed white (32-bit integers, floats); HEIF without the extra `heic`.
        OSError: a path that cannot be opened, as Python has it (FileNotFoundError, IsADirectoryError).
        TypeError: `source` is neither bytes, nor a path, nor a binary stream.
    """
    if max_pixels < 1:
        raise ValueError(f"max_pixels: expected at least 1, got {max_pixels}")
    label = name or _name(source)
    with _stream(source) as stream:
        head = stream.read(64)
        if not isinstance(head, bytes):
            raise TypeError(f"{label}: expected a binary stream, got one whose read() gives {type(head).__name__}")
        try:
            return _decode(stream, head, max_pixels, formats)
        # Decoders answer hostile bytes with almost any exception; for the caller it is all one bad input.
        except Exception as error:
            got = f"bytes that begin {head[:8]!r}" if isinstance(error, UnidentifiedImageError) else error
            raise ValueError(
                f"{label}: expected a whole {_either(formats)} image of at most "
                f"{max_pixels} pixels, got {got or type(error).__name__}"
            ) from error


def encode(
    image: Tensor,
    *,
    format: Encoding = "PNG",  # noqa: A002 - the word the field, Pillow and `Photo` use
    quality: int = 95,
    exif: bytes | None = None,
) -> bytes:
    """Encode one image; the same image and settings give the same bytes.

    PNG and WebP are lossless. JPEG is 4:4:4: halving the chroma resolution would blur away the fine pattern
    a protected image lives by; WebP is written lossless for the same reason, as its lossy form is always
    4:2:0.

    Args:
        image: RGB (3, H, W), uint8, or float in [0, 1], rounded to the 8-bit grid by `to_grid`.
        format: "PNG", "JPEG" or "WEBP".
        quality: JPEG's, 1 to 100; no effect on the others.
        exif: EXIF to carry along, as in `Photo.exif`; None for none.

    Raises:
        ValueError: wrong shape, type, range, format or quality; NaN; image or EXIF too large for the format.
    """
    if format not in get_args(Encoding):
        raise ValueError(f"format: expected one of {', '.join(get_args(Encoding))}, got {format!r}")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality: expected 1 to 100, got {quality}")
    if image.ndim != 3 or image.shape[0] != 3 or image.numel() == 0:
        raise ValueError(f"image: expected RGB (3, H, W) with at least one pixel, got {tuple(image.shape)}")
    if max(image.shape) > _LONGEST_SIDE[format]:
        raise ValueError(
            f"image: expected sides of at most {_LONGEST_SIDE[format]} pixels for {format}, got {tuple(image.shape)}"
        )
    if exif and not (exif.startswith(_EXIF_HEADER) and len(exif) <= _EXIF_LIMIT):
        raise ValueError(
            f"exif: expected at most {_EXIF_LIMIT} bytes that begin {_EXIF_HEADER!r}, "
            f"got {len(exif)} that begin {exif[:6]!r}"
        )
    grid = image if image.dtype == torch.uint8 else to_grid(image)
    picture = Image.fromarray(grid.detach().permute(1, 2, 0).contiguous().cpu().numpy())
    file = BytesIO()
    if format == "JPEG":
        picture.save(file, format, exif=exif or b"", quality=quality, subsampling=0)
    else:
        picture.save(file, format, exif=exif or b"", lossless=True)
    return file.getvalue()


def to_unit(pixels: Tensor) -> Tensor:
    """uint8 of any shape -> float32 in [0, 1]; `to_grid` is its exact inverse.

    Raises:
        ValueError: another type than uint8.
    """
    if pixels.dtype != torch.uint8:
        raise ValueError(f"pixels: expected uint8, got {pixels.dtype}")
    return pixels.to(torch.float32) / 255


def to_grid(image: Tensor) -> Tensor:
    """Float in [0, 1] of any shape -> uint8, round(255 * x) with halves to even.

    Raises:
        ValueError: not a float type, NaN, or a value outside [0, 1].
    """
    if not image.is_floating_point():
        raise ValueError(f"image: expected uint8 or float in [0, 1], got {image.dtype}")
    if image.numel():
        low, high = (float(bound) for bound in image.detach().aminmax())
        if not (low >= 0 and high <= 1):
            raise ValueError(f"image: expected values in [0, 1] and no NaN, got {low:.6g} to {high:.6g}")
    # Half-precision types cannot hold 255 * x closely enough to round it.
    wide = image.detach().to(torch.promote_types(image.dtype, torch.float32))
    return (wide * 255).round_().to(torch.uint8)


def _name(source: Source) -> str:
    if isinstance(source, bytes | bytearray | memoryview):
        return f"image of {len(source)} bytes"
    return str(source) if isinstance(source, str | os.PathLike) else str(getattr(source, "name", "image stream"))


@contextmanager
def _stream(source: Source) -> Iterator[BinaryIO]:
    if isinstance(source, bytes | bytearray | memoryview):
        yield BytesIO(source)
    elif isinstance(source, str | os.PathLike):
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
def _quiet() -> Iterator[None]:
    """Keep Pillow's warnings and its log's errors from the user.

    One thread at a time, because the filters that `warnings` saves and restores are the whole process's.
    """
    log, silence = logging.getLogger("PIL"), logging.NullHandler()
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log.addHandler(silence)
        try:
            yield
        finally:
            log.removeHandler(silence)


def _either(formats: Collection[str]) -> str:
    *most, last = formats
    return f"{', '.join(most)} or {last}" if most else last


def _decode(stream: BinaryIO, head: bytes, max_pixels: int, formats: Collection[str]) -> Photo:
    if not head:
        raise ValueError("0 bytes")
    with _quiet():
        image = _open(stream, head)
        kind = "JPEG" if image.format == "MPO" else str(image.format)
        if kind not in formats:
            raise ValueError(f"a {kind} image")
        width, height = image.size
        if width < 1 or height < 1 or width * height > max_pixels:
            raise ValueError(f"{width} x {height} = {width * height} pixels")
        if kind == "TIFF":
            _check_tiles(image, max_pixels)
        if kind == "JPEG":
            _check_scans(stream)
        # These read tags while they load, which may warn; the others can decode in parallel.
        if image.format in {"PNG", "TIFF"}:
            image.load()
    image.load()
    with _quiet():
        # Only now: a PNG may carry its EXIF behind the pixels, and a TIFF turns itself upright on loading.
        turn, exif = read_exif(image)
    # Multi-picture files are JPEGs with further pictures behind the first.
    return Photo(
        pixels=torch.from_numpy(_upright(image, turn)).permute(2, 0, 1),
        exif=exif,
        format=kind,
    )


def _check_tiles(image: Image.Image, max_pixels: int) -> None:
    """Refuse a TIFF of tiles that are larger than any image may be: each is inflated whole, whatever it shows."""
    tags = getattr(image, "tag_v2", {})
    sides = [int(tags.get(tag, 0)) for tag in (ExifTags.Base.TileWidth, ExifTags.Base.TileLength)]
    if sides[0] * sides[1] > max(max_pixels, _LARGEST_TILE):
        raise ValueError(f"tiles of {sides[0]} x {sides[1]} pixels")


def _check_scans(stream: BinaryIO) -> None:
    """Refuse a JPEG of endlessly many scans, each a few bytes that cost a pass over the whole image."""
    place, found, tail = stream.tell(), 0, b""
    stream.seek(0)
    while part := stream.read(1 << 20):
        found += (tail + part).count(_SCAN)
        tail = part[-1:]
        if found > _MOST_SCANS:
            raise ValueError(f"more than {_MOST_SCANS} scans")
    stream.seek(place)


def _open(stream: BinaryIO, head: bytes) -> Image.Image:
    brands = {head[i : i + 4] for i in range(8, len(head), 4)} if head[4:8] == b"ftyp" else set()
    if brands & _AVIF_BRANDS:
        if not features.check("avif"):
            raise ValueError("an AVIF image, which this Pillow was built without")
    elif brands & _HEIF_BRANDS:
        return _open_heif(stream)
    return Image.open(stream, formats=FORMATS[:-1] if brands & _AVIF_BRANDS else FORMATS[:-2])


def _open_heif(stream: BinaryIO) -> Image.Image:
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise ValueError("a HEIF image, which needs: pip install 'facemin[heic]'") from error
    # Pillow's plugin as a plain class: registering it would change Pillow for the whole process.
    opener: Callable[[BinaryIO], Image.Image] = HeifImageFile
    stream.seek(0)
    return opener(stream)


def _upright(image: Image.Image, turn: Turn) -> NDArray[np.uint8]:
    """The image as (H, W, 3), turned upright.

    Strip by strip, each written where it belongs: beside Pillow's image and the result no third copy exists,
    whatever has to be done to the colours.
    """
    convert = to_srgb(image)
    width, height = image.size
    upright = np.empty((width, height, 3) if turn.swapped else (height, width, 3), dtype=np.uint8)
    stored = upright.swapaxes(0, 1) if turn.swapped else upright
    stored = stored[:: -1 if turn.rows_reversed else 1, :: -1 if turn.columns_reversed else 1]
    rows = max(1, 2**18 // width)
    for top in range(0, height, rows):
        stored[top : top + rows] = convert(image.crop((0, top, width, min(top + rows, height))))
    return upright

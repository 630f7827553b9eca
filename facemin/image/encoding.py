"""Arrays to bytes: images encoded without the loss that a protected one cannot bear."""

from io import BytesIO
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Encoding: TypeAlias = Literal["PNG", "JPEG", "WEBP"]

_EXIF_HEADER = b"Exif\x00\x00"
_EXIF_LIMIT = 65_533
_LONGEST_SIDE = {"PNG": 2**31 - 1, "JPEG": 65_500, "WEBP": 16_383}


def encode(
    image: NDArray[np.uint8],
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
        image: uint8 RGB (H, W, 3).
        format: "PNG", "JPEG" or "WEBP".
        quality: JPEG's, 1 to 100; no effect on the others.
        exif: EXIF to carry along, as in `Photo.exif`; None for none.

    Raises:
        ValueError: wrong shape, type, format or quality; image or EXIF too large for the format.
    """
    if format not in get_args(Encoding):
        raise ValueError(f"format: expected one of {', '.join(get_args(Encoding))}, got {format!r}")
    if not 1 <= quality <= 100:
        raise ValueError(f"quality: expected 1 to 100, got {quality}")
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        got = f"{getattr(image, 'dtype', type(image).__name__)} {tuple(getattr(image, 'shape', ()))}"
        raise ValueError(f"image: expected uint8 RGB (H, W, 3), got {got}")
    if not image.size:
        raise ValueError(f"image: expected at least one pixel, got {image.shape}")
    if max(image.shape) > _LONGEST_SIDE[format]:
        raise ValueError(
            f"image: expected sides of at most {_LONGEST_SIDE[format]} pixels for {format}, got {tuple(image.shape)}"
        )
    if exif and not (exif.startswith(_EXIF_HEADER) and len(exif) <= _EXIF_LIMIT):
        raise ValueError(
            f"exif: expected at most {_EXIF_LIMIT} bytes that begin {_EXIF_HEADER!r}, "
            f"got {len(exif)} that begin {exif[:6]!r}"
        )
    picture = Image.fromarray(np.ascontiguousarray(image))
    file = BytesIO()
    if format == "JPEG":
        picture.save(file, format, exif=exif or b"", quality=quality, subsampling=0)
    else:
        picture.save(file, format, exif=exif or b"", lossless=True)
    return file.getvalue()

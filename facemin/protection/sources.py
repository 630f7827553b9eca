"""Photos, keys and methods as callers give them: as objects, files, images, arrays or names."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image, ImageOps

from facemin.image import MAX_PIXELS, Photo, decode
from facemin.keys.key import Key
from facemin.protection.registry import DEFAULT_PROTECTOR, METHODS, PROTECTORS
from facemin.runtime.errors import InvalidPhoto

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facemin.protection.registry import Protector

AnyPhoto: TypeAlias = "str | Path | bytes | Photo | Image.Image | np.ndarray[Any, Any]"
"""What is taken for a photo."""

AnyKey: TypeAlias = "Key | str | Path"
"""A key, or its file."""

PNG_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})
"""PIL's modes that PNG keeps as they are; TIFF keeps the others."""


def read_photo(source: AnyPhoto, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Decode a photo, whatever it comes as; a PIL image and an array pass through a lossless file, as a photo would.

    Args:
        source: a path, a file's bytes, a PIL image (turned upright as its EXIF says), a uint8 array of (H, W, 3) in
            RGB (not OpenCV's BGR), (H, W, 4) with transparency or (H, W) in grey, or what `decode` gave.
        max_pixels: most pixels that it may have.

    Raises:
        InvalidPhoto: it is none of these, or not a whole photo.
        OSError: a path that cannot be opened.
    """
    if isinstance(source, Photo):
        return source
    if isinstance(source, Image.Image):
        return decode(_file(source), name="image", max_pixels=max_pixels)
    if isinstance(source, np.ndarray):
        return decode(_file(_image(source)), name="array", max_pixels=max_pixels)
    if isinstance(source, str | Path | bytes):
        return decode(source, max_pixels=max_pixels)
    raise InvalidPhoto(
        f"photo: expected a path, bytes, a PIL image, a uint8 array or a decoded photo, got {type(source).__name__}"
    )


def open_keys(keys: Sequence[AnyKey] | AnyKey) -> tuple[Key, ...]:
    """Keys, read where a file was given.

    Raises:
        InvalidKey: a file that is no key, or must not be used.
    """
    several = (keys,) if isinstance(keys, Key | str | Path) else keys
    return tuple(key if isinstance(key, Key) else Key.load(Path(key)) for key in several)


def open_method(method: Protector | str | None) -> Protector:
    """A method's settings, by its name where one was given.

    Raises:
        ValueError: an unknown name.
    """
    if method is None:
        return PROTECTORS[DEFAULT_PROTECTOR]
    if not isinstance(method, str):
        return method
    if method not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(METHODS)}, or settings; got {method!r}")
    return METHODS[method]


def _image(array: np.ndarray[Any, Any]) -> Image.Image:
    colours = array.shape[2] if array.ndim == 3 else 1
    if array.dtype != np.uint8 or array.ndim not in (2, 3) or colours not in (1, 3, 4) or not array.size:
        raise InvalidPhoto(
            f"photo: expected a uint8 array of (H, W, 3) in RGB, (H, W, 4) or (H, W), got {array.dtype} {array.shape}"
        )
    return Image.fromarray(array[:, :, 0] if array.ndim == 3 and colours == 1 else array)


def _file(image: Image.Image) -> bytes:
    """The image as a lossless file with its colour profile, upright and without further EXIF."""
    try:
        upright = ImageOps.exif_transpose(image)
        file, form = BytesIO(), "PNG" if upright.mode in PNG_MODES else "TIFF"
        upright.save(file, format=form, icc_profile=upright.info.get("icc_profile"))
    except (OSError, ValueError, SyntaxError) as error:
        raise InvalidPhoto(
            f"photo: expected a PIL image that can be read, got {image.mode} {image.size}: {error}"
        ) from error
    return file.getvalue()

"""Photos, keys and methods as callers give them: as objects, files, images, arrays or names."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image, ImageOps

from facemin.image import MAX_PIXELS, Photo, decode
from facemin.keys.key import Key
from facemin.protection.one_pass.protector import OnePassProtector, torch_is_there
from facemin.pseudonym import Secret, SecretStore
from facemin.runtime.errors import InvalidPhoto

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facemin.protection.contract import Protector

AnyPhoto: TypeAlias = "str | Path | bytes | Photo | Image.Image | np.ndarray[Any, Any]"
"""What is taken for a photo."""

AnyKey: TypeAlias = "Key | str | Path"
"""A key, or its file."""

AnySecret: TypeAlias = "Secret | str | None"
"""A secret, its name in the store, or None for plain protection."""

ANYWHERE = ("auto", "one-pass")
"""Methods that need no torch; `registry.PROTECTORS` has the others."""

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


def open_method(
    method: Protector | OnePassProtector | str | None, keys: Sequence[Key] = (), *, aimed: bool = False
) -> Protector | OnePassProtector:
    """A method's settings, by its name where one was given.

    Args:
        method: settings, one of `PROTECTORS`, "one-pass", or None for "auto": "one-pass" where the key has a protector
            and is the only one, else "robust".
        keys: that images are made for.
        aimed: whether they are made for targets, under a pseudonym.

    Raises:
        ValueError: an unknown name, a method that cannot do it, or one that needs torch where there is none.
    """
    name = method
    if name in (None, "auto"):
        painter = OnePassProtector()
        name = "one-pass" if aimed and len(keys) == 1 and painter.file_for(keys[0]) is not None else "robust"
    chosen = _named(name, aimed=aimed) if isinstance(name, str) else name
    assert chosen is not None
    if aimed and not hasattr(chosen, "aim"):
        raise ValueError(
            "method: expected one that takes targets, as pseudonyms need (one-pass, robust, pmt), "
            f"got {_called(method)}"
        )
    check = getattr(chosen, "check_aim", None)
    if aimed and check is not None:
        check(keys)
    if not aimed and not hasattr(chosen, "stream"):
        raise ValueError(
            f"method: expected one that takes faces, since there is no pseudonym (robust, pmt, pmt-enhanced, "
            f"frequency-mask), got {_called(method)}"
        )
    return chosen


def image_groups(keys: Sequence[Key], *, one_image: bool) -> tuple[tuple[Key, ...], ...]:
    """Keys that share an image: all of them, or each alone."""
    return (tuple(keys),) if one_image else tuple((key,) for key in keys)


def open_aimed(
    method: Protector | OnePassProtector | str | None, groups: Sequence[Sequence[Key]]
) -> Protector | OnePassProtector:
    """A method's settings for targets, as `open_method`, by which every group of keys can have its image.

    Args:
        method: see `open_method`; by a name, what suits the first group.
        groups: keys that share an image.

    Raises:
        ValueError: as `open_method`, for any of the groups.
    """
    chosen = open_method(method, groups[0], aimed=True)
    for group in groups[1:]:
        open_method(chosen, group, aimed=True)
    return chosen


def open_secret(secret: Secret | str | None) -> tuple[Secret | None, tuple[Secret, ...], bool]:
    """A secret, read from the store where a name was given, and made there at its first use.

    Returns:
        It; the person's other secrets; and whether it was made now, so that `LOSS` is to be said.

    Raises:
        ValueError: a name that is none; a secret that is damaged, or that others may read.
        OSError: it cannot be read or written.
    """
    if secret is None:
        return None, (), False
    store, made = SecretStore(), False
    if isinstance(secret, str):
        secret, made = store.load_or_make(secret)
    others = tuple(other for other in map(store.load, store.names()) if other != secret)
    return secret, others, made


def _named(name: str, *, aimed: bool) -> Protector | OnePassProtector:
    if name == "one-pass":
        return OnePassProtector()
    if not torch_is_there():
        # which others there are, torch alone can tell
        other = "take a key" if aimed else "protect under a pseudonym, by a key"
        raise ValueError(
            f"method {name}: expected torch, which optimisation needs, found none: pip install 'facemin[torch]', or "
            f"{other} with a one-pass protector (the default key has one)"
        )
    from facemin.protection.registry import PROTECTORS

    if name not in PROTECTORS:
        raise ValueError(f"method: expected one of {', '.join([*ANYWHERE, *PROTECTORS])}, or settings; got {name!r}")
    chosen: Protector = PROTECTORS[name]
    return chosen


def _called(method: object) -> str:
    return method if isinstance(method, str) else type(method).__name__


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

"""From an upload to what the recogniser takes; the upload itself goes no further and is kept nowhere."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from facemin.autograd.pixels import to_tensor, to_unit
from facemin.face import SIDE, Detector, align_unrounded, is_aligned
from facemin.image import decode
from facemin.protection import decode_feature
from facemin.service.api.errors import ServiceError, bad_input
from facemin.service.recognition.embed import WHOLE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy import Connection
    from torch import Tensor

    from facemin.service.api.schemas import Upload
    from facemin.service.provider import Provider
    from facemin.service.storage.store import Collection, Kind

FORMATS = ("PNG", "JPEG")
FACE_PIXELS = SIDE * SIDE
_ONE_PHOTO = threading.BoundedSemaphore(1)


@dataclass(frozen=True, kw_only=True)
class Face:
    """An upload that was accepted.

    Attributes:
        cut: where `value` enters the recogniser; `WHOLE` for an image.
        value: a face (3, 112, 112) in [0, 1], or a feature.
        kind: whether it was protected.
        key_id: for which key; "" for a plain face.
        digest: keyed hash of what was uploaded, as decoded.
    """

    cut: str
    value: Tensor = field(repr=False)
    kind: Kind
    key_id: str
    digest: bytes = field(repr=False)


def read_upload(provider: Provider, connection: Connection, collection: Collection, upload: Upload) -> Face:
    """Decode and check one upload, in a reading transaction.

    Raises:
        ServiceError: it is damaged, of another size, for no key in force, or a plain face (422).
    """
    if upload.kind == "feature":
        return _feature(provider, connection, upload)
    if not collection.accept_plain:
        return _image(provider, connection, collection, upload, FACE_PIXELS)
    # a whole photo and what a detector makes of it take hundreds of megabytes
    with _ONE_PHOTO:
        return _image(provider, connection, collection, upload, provider.settings.photo_pixels)


def _image(provider: Provider, connection: Connection, collection: Collection, upload: Upload, most: int) -> Face:
    try:
        photo = decode(upload.data, name="upload", max_pixels=most, formats=FORMATS)
    except ValueError as error:
        hint = "" if collection.accept_plain else "; a photo has to be protected first"
        raise bad_input(f"{error}{hint}") from None
    pixels = to_tensor(photo.pixels)
    digest = provider.secrets.digest("uploads", pixels.numpy().tobytes())
    if not is_aligned(photo.pixels):
        height, width = photo.pixels.shape[:2]
        if not collection.accept_plain:
            raise bad_input(f"upload: expected a protected image of {SIDE} x {SIDE}, got {width} x {height}")
        return Face(cut=WHOLE, value=_aligned(photo.pixels), kind="plain", key_id="", digest=digest)
    face = to_unit(pixels)
    if provider.plain(pixels):
        if not collection.accept_plain:
            raise bad_input(
                "upload: this looks like an unprotected face; protect it before sending it", code="plain_face"
            )
        return Face(cut=WHOLE, value=face, kind="plain", key_id="", digest=digest)
    if upload.key_id is None:
        raise bad_input("upload: expected the key_id that the image was protected for, got none", code="unknown_key")
    provider.keyring.manifest(upload.key_id, connection)
    return Face(cut=WHOLE, value=face, kind="protected", key_id=upload.key_id, digest=digest)


def _feature(provider: Provider, connection: Connection, upload: Upload) -> Face:
    if upload.key_id is None:
        raise bad_input("upload: expected the key_id that the feature was made for, got none", code="unknown_key")
    manifest = provider.keyring.manifest(upload.key_id, connection)
    try:
        feature = decode_feature(upload.data, manifest, name="upload")
    except ValueError as error:
        raise bad_input(str(error)) from None
    digest = provider.secrets.digest("uploads", feature.numpy().tobytes())
    return Face(cut=manifest.cut, value=feature, kind="protected", key_id=upload.key_id, digest=digest)


def _aligned(pixels: NDArray[np.uint8]) -> Tensor:
    faces = Detector(threads=1)(pixels)
    if not faces:
        raise ServiceError(422, "no_face", "upload: expected a photo with a face, found none")
    return to_tensor(align_unrounded(pixels, faces[0].points[None])[0])

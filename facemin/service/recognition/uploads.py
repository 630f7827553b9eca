"""Upload decoding: from a request to the recogniser's input; the upload itself is kept nowhere."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np

from facemin.face import SIDE, Detector, align_unrounded, is_aligned
from facemin.image import decode
from facemin.protection import decode_feature
from facemin.protection.carrier.known import is_carrier
from facemin.protection.carrier.protector import LARGEST, SMALLEST
from facemin.service.api.errors import ServiceError, bad_input
from facemin.service.recognition.embed import WHOLE
from facemin.service.storage.records import Binding

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from facemin.service.api.schemas import Upload
    from facemin.service.provider import Provider
    from facemin.service.storage.records import Collection, Kind

FORMATS = ("PNG", "JPEG")
FACE_PIXELS = SIDE * SIDE
UNIT = 1e-5
"""How far a feature's length may be from 1: float32 rounds one of 1,024 numbers by less than a tenth of that."""
_ONE_PHOTO = threading.BoundedSemaphore(1)


@dataclass(frozen=True, kw_only=True)
class Face:
    """An upload that was accepted.

    Attributes:
        cut: where `value` enters the recogniser; `WHOLE` for an image.
        value: a face (3, 112, 112) in [0, 1], or a feature.
        kind: whether it was protected.
        key_id: for which key; "" for a plain face.
        digest: keyed hash of what was uploaded, as decoded; of a feature under a pseudonym, with whom it is for.
        binding: of its pseudonym as it claims: the possession key is the one that it names, and "" where it names none.
        sha256: of the bytes that were uploaded.
        signature: by which possession is proved; empty without a pseudonym.
    """

    cut: str
    value: NDArray[np.float32] = field(repr=False)
    kind: Kind
    key_id: str
    digest: bytes = field(repr=False)
    binding: Binding | None = None
    sha256: bytes = field(default=b"", repr=False)
    signature: bytes = field(default=b"", repr=False)


def read_upload(
    provider: Provider, connection: Connection, collection: Collection, upload: Upload, *, person: str = ""
) -> Face:
    """Decode and check one upload, in a reading transaction.

    Args:
        provider: who was asked.
        connection: of the transaction.
        collection: where it was sent.
        upload: as it came.
        person: whom it is for; empty where that is asked.

    Raises:
        ServiceError: it is damaged, of another size, for no key in force, a plain face, or of a kind that the
            collection does not take (422).
    """
    if upload.kind == "feature" and not provider.settings.feature_uploads:
        raise bad_input("upload: expected an image, since this provider takes no features", code="features_off")
    if upload.pseudonym is not None:
        return _pseudonym(provider, connection, collection, upload, person)
    if collection.pseudonyms == "required":
        raise bad_input(
            f"upload: expected one under a pseudonym, which {collection.name} requires, got one under none",
            code="pseudonym_required",
        )
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
    digest = provider.secrets.digest("uploads", _planes(photo.pixels).tobytes())
    if not is_aligned(photo.pixels):
        height, width = photo.pixels.shape[:2]
        if upload.pseudonym is not None and collection.carriers == "allowed":
            return _carrier(provider, connection, photo.pixels, upload, digest)
        if not collection.accept_plain:
            raise bad_input(f"upload: expected a protected image of {SIDE} x {SIDE}, got {width} x {height}")
        return Face(cut=WHOLE, value=_aligned(photo.pixels), kind="plain", key_id="", digest=digest)
    face = _planes(photo.pixels).astype(np.float32) / np.float32(255)
    if provider.plain(photo.pixels, pseudonym=upload.pseudonym is not None):
        if not collection.accept_plain:
            raise bad_input(
                "upload: this looks like an unprotected face; protect it before sending it", code="plain_face"
            )
        return Face(cut=WHOLE, value=face, kind="plain", key_id="", digest=digest)
    if upload.key_id is None:
        raise bad_input("upload: expected the key_id that the image was protected for, got none", code="unknown_key")
    provider.keyring.manifest(upload.key_id, connection)
    return Face(cut=WHOLE, value=face, kind="protected", key_id=upload.key_id, digest=digest)


def _carrier(
    provider: Provider, connection: Connection, pixels: NDArray[np.uint8], upload: Upload, digest: bytes
) -> Face:
    if not min(pixels.shape[:2]) >= SMALLEST or not is_carrier(pixels):
        raise bad_input(
            f"upload: expected a protected image of {SIDE} x {SIDE}, or a carrier; this looks like a photo of "
            "somebody: protect it before sending it",
            code="plain_face",
        )
    if upload.key_id is None:
        raise bad_input("upload: expected the key_id that the carrier was made for, got none", code="unknown_key")
    provider.keyring.manifest(upload.key_id, connection)
    return Face(cut=WHOLE, value=_aligned(pixels), kind="protected", key_id=upload.key_id, digest=digest)


def _feature(provider: Provider, connection: Connection, upload: Upload) -> Face:
    if upload.key_id is None:
        raise bad_input("upload: expected the key_id that the feature was made for, got none", code="unknown_key")
    manifest = provider.keyring.manifest(upload.key_id, connection)
    try:
        feature = decode_feature(upload.data, manifest, name="upload")
    except ValueError as error:
        raise bad_input(str(error)) from None
    digest = provider.secrets.digest("uploads", feature.tobytes())
    return Face(cut=manifest.cut, value=feature, kind="protected", key_id=upload.key_id, digest=digest)


def _pseudonym(provider: Provider, connection: Connection, collection: Collection, upload: Upload, person: str) -> Face:
    assert upload.pseudonym is not None
    assert upload.possession is not None
    if collection.pseudonyms == "off":
        raise bad_input(
            f"upload: expected one under no pseudonym, since {collection.name} takes none, got one under a pseudonym",
            code="pseudonyms_off",
        )
    if upload.key_id is None:
        raise bad_input("upload: expected the key_id of its space, got none", code="unknown_key")
    space = provider.keyring.manifest(upload.key_id, connection).space_id
    if space is None:
        raise bad_input(f"upload: expected a key with a space, got {upload.key_id}, which has none", code="no_space")
    if space.hex() != upload.pseudonym.space:
        raise bad_input(
            f"upload: expected the space {space.hex()[:16]} of key {upload.key_id}, got {upload.pseudonym.space[:16]}",
            code="wrong_space",
        )
    if upload.kind == "feature":
        face = _feature(provider, connection, upload)
        length = float(np.linalg.norm(face.value.astype(np.float64)))
        if abs(length - 1) > UNIT:
            raise bad_input(f"upload: expected a feature of unit length, got {length:.6g}", code="not_unit_length")
        # of one capture, two people under a site's secret may send equal ones
        whose = f"{collection.id} {person} ".encode()
        digest = provider.secrets.digest("uploads", whose + face.value.tobytes())
    else:
        taken = replace(collection, accept_plain=False)
        most = LARGEST * LARGEST if collection.carriers == "allowed" else FACE_PIXELS
        face = _image(provider, connection, taken, upload, most)
        digest = face.digest
    proof = upload.possession
    return replace(
        face,
        kind="pseudonym",
        digest=digest,
        binding=Binding(upload.pseudonym.space, upload.pseudonym.epoch, proof.public_key or ""),
        sha256=sha256(upload.data).digest(),
        signature=bytes.fromhex(proof.signature),
    )


def _planes(image: NDArray[Any]) -> NDArray[Any]:
    """(H, W, 3) as (3, H, W), in one piece."""
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def _aligned(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    faces = Detector(threads=1)(pixels)
    if not faces:
        raise ServiceError(422, "no_face", "upload: expected a photo with a face, found none")
    return _planes(align_unrounded(pixels, faces[0].points[None])[0])

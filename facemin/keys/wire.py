"""Wire form of a key: metadata behind the graph's bytes, their signature and dates."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from onnx import ModelProto, StringStringEntryProto

from facemin.keys.manifest import Manifest
from facemin.runtime.errors import KeyExpired
from facemin.runtime.faults import faults_named

CLOCKS_DIFFER = timedelta(days=1)
"""So far ahead may a key's making lie: a later one would outlive every honest successor."""
LONGEST_VALID = timedelta(days=3653)
"""Ten years, from now: whoever names an end must not name one that never comes."""

MANIFEST, SIGNATURE, SIGNER = "facemin.key", "facemin.signature", "facemin.signer"


def metadata(entries: dict[str, str]) -> bytes:
    """The wire bytes of metadata entries; appended to a graph's bytes they extend its message."""
    properties = [StringStringEntryProto(key=key, value=value) for key, value in entries.items()]
    encoded: bytes = ModelProto(metadata_props=properties).SerializeToString(deterministic=True)
    return encoded


def tail_of(model: ModelProto) -> bytes:
    """The bytes that a file's metadata take at its end."""
    encoded: bytes = ModelProto(metadata_props=model.metadata_props).SerializeToString(deterministic=True)
    return encoded


def manifest_of(entries: dict[str, str], name: str) -> Manifest:
    """The manifest among a file's metadata.

    Raises:
        ValueError: there is none, or it is damaged.
    """
    text = entries.get(MANIFEST)
    if text is None:
        raise ValueError(f"{name}: expected a provider key, got an ONNX file without the metadata {MANIFEST!r}")
    with faults_named(f"{name}: expected a manifest of version 1 or 2; "):
        return Manifest.model_validate_json(text)


def check_bytes(data: bytes, model: ModelProto, manifest: Manifest, name: str) -> None:
    """Refuse a file whose graph is not the one that its manifest names.

    Raises:
        ValueError: naming the key.
    """
    end = tail_of(model)
    if not data.endswith(end):
        raise ValueError(f"{name}: expected the metadata at the end of the file, found other bytes there")
    digest = hashlib.sha256(data[: len(data) - len(end)]).hexdigest()
    if digest != manifest.sha256:
        raise ValueError(f"{name}: expected a graph with SHA-256 {manifest.sha256}, got {digest}: it was changed")


def check_signature(entries: dict[str, str], required: bytes | None, name: str) -> bytes | None:
    """The signer whose signature was verified; None of an unsigned key.

    Raises:
        ValueError: a wrong signature, or another signer than `required`.
    """
    if (SIGNATURE in entries) != (SIGNER in entries):
        raise ValueError(f"{name}: expected a signature together with its signer, got one of the two")
    if SIGNATURE not in entries:
        if required is not None:
            raise ValueError(f"{name}: expected a key signed by {required.hex()}, got an unsigned one")
        return None
    try:
        signer = base64.b64decode(entries[SIGNER], validate=True)
        signature = base64.b64decode(entries[SIGNATURE], validate=True)
        Ed25519PublicKey.from_public_bytes(signer).verify(signature, entries[MANIFEST].encode())
    except (InvalidSignature, ValueError):
        raise ValueError(f"{name}: expected a valid Ed25519 signature of the manifest, got a wrong one") from None
    if required is not None and signer != required:
        raise ValueError(f"{name}: expected a key signed by {required.hex()}, got one signed by {signer.hex()}")
    return signer


def check_dates(manifest: Manifest, now: datetime | None, name: str, *, allow_expired: bool) -> None:
    """Refuse a key that is expired, not yet made, or valid for too long.

    Raises:
        KeyExpired: it has ended.
        ValueError: its other dates are out of range.
    """
    now = now or datetime.now(UTC)
    if manifest.expires is not None and now >= manifest.expires and not allow_expired:
        raise KeyExpired(f"{name}: expected a key that is still valid, got one that expired on {manifest.expires}")
    if manifest.created - now > CLOCKS_DIFFER:
        raise ValueError(
            f"{name}: expected a key made before {now + CLOCKS_DIFFER:%Y-%m-%d %H:%M} UTC, got one made on "
            f"{manifest.created}"
        )
    if manifest.expires is not None and manifest.expires - max(now, manifest.created) > LONGEST_VALID:
        raise ValueError(
            f"{name}: expected a key that ends within ten years, or never, got one that ends on {manifest.expires}"
        )

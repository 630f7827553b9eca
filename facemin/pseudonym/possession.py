"""Proof of possession: an Ed25519 key per origin and purpose, and signatures of uploads."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from facemin.pseudonym.derivation import LARGEST_EPOCH, VERSION, check_integer, checked_purpose
from facemin.pseudonym.encoding import derive_key, encode_fields
from facemin.pseudonym.origin import normalise_origin
from facemin.pseudonym.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY_SALT = "facemin possession v1"
STATEMENT = "facemin upload v1"
RENEWAL = "facemin renewal v1"
LEAST_CHALLENGE, LONGEST_CHALLENGE = 16, 64

_LONGEST_NAME = 256


@dataclass(frozen=True, kw_only=True)
class UploadStatement:
    """What a device signs of an upload, so that it counts once, for one person and one operation.

    Args:
        challenge: the provider's, 16 to 64 bytes that it made for this operation and takes once.
        operation: what is asked for: "enrol", "verify", "identify", "renew"; 1 to 256 bytes of UTF-8.
        purpose: as in `Context`.
        upload: SHA-256 of the bytes that are sent, 32 bytes.
        person: as the provider calls them; empty where it is to find out (identify).
        epoch: of the pseudonym.

    Raises:
        ValueError: a field is none of these.
    """

    challenge: bytes
    operation: str
    purpose: str
    upload: bytes
    person: str
    epoch: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "purpose", checked_purpose(self.purpose))
        if not isinstance(self.challenge, bytes) or not LEAST_CHALLENGE <= len(self.challenge) <= LONGEST_CHALLENGE:
            raise ValueError(
                f"challenge: expected {LEAST_CHALLENGE} to {LONGEST_CHALLENGE} bytes, got {_told(self.challenge)}"
            )
        if not isinstance(self.upload, bytes) or len(self.upload) != 32:
            raise ValueError(f"upload: expected a SHA-256 of 32 bytes, got {_told(self.upload)}")
        check_integer("epoch", self.epoch, 0, LARGEST_EPOCH)
        for name, text, least in (("operation", self.operation, 1), ("person", self.person, 0)):
            if not isinstance(text, str) or not least <= len(encode_fields(text)) - 4 <= _LONGEST_NAME:
                raise ValueError(f"{name}: expected {least} to {_LONGEST_NAME} bytes of UTF-8, got {text!r:.80}")

    def encode(self) -> bytes:
        """Canonical bytes: `STATEMENT`, challenge, operation, purpose, upload, person, epoch by `encode_fields`."""
        return encode_fields(
            STATEMENT, self.challenge, self.operation, self.purpose, self.upload, self.person, self.epoch
        )


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class PossessionKey:
    """The key a device proves with that it has the secret, one for each origin and purpose.

    It does not depend on space, signer and epoch, so that it outlives a key's rotation and a renewal. Origins cannot
    tell from their public keys that two belong to one secret.

    Args:
        secret: whose it is.
        origin: of the provider, see `normalise_origin`.
        purpose: as in `Context`.

    Raises:
        ValueError: origin or purpose is none.
    """

    secret: Secret = field(repr=False)
    origin: str
    purpose: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "origin", normalise_origin(self.origin))
        object.__setattr__(self, "purpose", checked_purpose(self.purpose))

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes: registered with the provider at enrolment."""
        return self._private.public_key().public_bytes_raw()

    def sign(self, statement: UploadStatement) -> bytes:
        """Sign a statement: 64 bytes (RFC 8032), the same for the same statement.

        Raises:
            ValueError: it is for another purpose.
        """
        if statement.purpose != self.purpose:
            raise ValueError(f"statement: expected one for the purpose {self.purpose!r}, got {statement.purpose!r}")
        return self._private.sign(statement.encode())

    def __repr__(self) -> str:
        return f"PossessionKey({self.public.hex()}, origin={self.origin!r}, purpose={self.purpose!r})"

    @cached_property
    def _private(self) -> Ed25519PrivateKey:
        info = encode_fields(VERSION, self.origin, self.purpose)
        return Ed25519PrivateKey.from_private_bytes(derive_key(self.secret.data, salt=KEY_SALT, info=info))


def renewal_digest(probe: bytes, uploads: Sequence[bytes], public: bytes) -> bytes:
    """What the registered key signs in place of the probe's hash when it renews: the probe and all that replaces it.

    So nobody on the way can put another secret's enrolment in its place.

    Args:
        probe: SHA-256 of the upload under the old epoch.
        uploads: SHA-256 of each under the next one, in order.
        public: possession key of those, 32 bytes.

    Returns:
        SHA-256, 32 bytes, of `RENEWAL`, probe, public and uploads by `encode_fields`.
    """
    return sha256(encode_fields(RENEWAL, probe, public, *uploads)).digest()


def verify_upload(public: bytes, signature: bytes, statement: UploadStatement) -> bool:
    """Whether a registered key signed a statement.

    That the challenge is the provider's own, fresh and unused, and that the upload has the hash, is the caller's to
    check.

    Args:
        public: the registered key, 32 bytes.
        signature: 64 bytes; other lengths are no signature.
        statement: built from what the provider itself knows.

    Raises:
        ValueError: the public key is not 32 bytes.
    """
    if len(public) != 32:
        raise ValueError(f"public: expected an Ed25519 public key of 32 bytes, got {len(public)}")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, statement.encode())
    except InvalidSignature:
        return False
    return True


def _told(value: object) -> str:
    return f"{len(value)} bytes" if isinstance(value, bytes) else type(value).__name__

"""Authenticated encryption of what a device keeps under a secret, and the private files that hold it."""

from __future__ import annotations

import secrets
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import TypeAdapter, ValidationError

from facemin.pseudonym.encoding import derive_key
from facemin.pseudonym.secret import Secret
from facemin.runtime.files import PRIVATE, locked, private_folder, read_private, write_atomically

_NONCE_BYTES = 12
_Content = TypeVar("_Content")


def seal(secret: Secret, data: bytes, *, use: str) -> bytes:
    """Encrypt bytes as nonce, ciphertext and tag: without the secret they say their length and nothing else.

    Source: NIST SP 800-38D (AES-GCM); a fresh 96-bit nonce each stays safe up to 2^32 of them.

    Args:
        secret: to open it with.
        data: to encrypt.
        use: names what it is; opened for another use it fails.
    """
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(derive_key(secret.data, salt=use)).encrypt(nonce, data, use.encode())


def unseal(secret: Secret, sealed: bytes, *, use: str) -> bytes:
    """Decrypt what `seal` encrypted.

    Raises:
        ValueError: sealed under another secret, for another use, or changed since.
    """
    try:
        return AESGCM(derive_key(secret.data, salt=use)).decrypt(
            sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], use.encode()
        )
    except (InvalidTag, ValueError):
        raise ValueError(
            f"expected what was sealed with the secret {secret.fingerprint}, got another's or a changed one"
        ) from None


@dataclass(frozen=True, kw_only=True)
class SealedFile:
    """A private file of a secret's, encrypted under it: there or not, read and written as a whole.

    Args:
        secret: whose it is; its fingerprint names the file.
        root: folder of such files, which only their owner may enter.
        use: as for `seal`.
        what: in a refusal, say "enrolled faces".
    """

    secret: Secret
    root: Path
    use: str
    what: str

    @property
    def path(self) -> Path:
        """Of the file."""
        return self.root / f"{self.secret.fingerprint}.sealed"

    def locked(self) -> AbstractContextManager[None]:
        """Keep other processes from the folder's files meanwhile."""
        return locked(self.root / ".lock")

    def read(self, form: TypeAdapter[_Content]) -> _Content | None:
        """What is in it, of JSON; None where there is no file.

        Raises:
            ValueError: a damaged file, or one that others may read.
            OSError: it cannot be read.
        """
        try:
            sealed = read_private(self.path)
        except FileNotFoundError:
            return None
        try:
            return form.validate_json(unseal(self.secret, sealed, use=self.use))
        except ValidationError as error:
            raise ValueError(f"{self.path}: expected {self.what}, got {error.error_count()} wrong fields") from None
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from None

    def write(self, data: bytes) -> None:
        """Put bytes in its place, atomically; nothing, and there is no file.

        Raises:
            OSError: it cannot be written.
        """
        if data:
            private_folder(self.root)
            write_atomically(self.path, seal(self.secret, data, use=self.use), mode=PRIVATE)
        else:
            self.path.unlink(missing_ok=True)

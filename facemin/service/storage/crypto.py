"""The provider's master key, the keys derived from it, and templates encrypted at rest."""

from __future__ import annotations

import hmac
import os
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

KEY_BYTES = 32
NONCE_BYTES = 12
VARIABLE = "FACEMIN_MASTER_KEY"
"""Environment variable that holds the master key, 64 hexadecimal digits, in place of the file."""


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """What protects templates at rest, and what hashes of uploads are keyed with.

    Args:
        master: 32 random bytes; whoever has them and the database can read every template.
    """

    master: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.master) != KEY_BYTES:
            raise ValueError(f"master key: expected {KEY_BYTES} bytes, got {len(self.master)}")

    @classmethod
    def load(cls, path: Path) -> Secrets:
        """Read the master key from $FACEMIN_MASTER_KEY, or from a file where that is not set.

        Raises:
            ValueError: when what is there is not 64 hexadecimal digits; the value itself is not repeated.
            FileNotFoundError: neither the variable nor the file is there.
        """
        given = os.environ.get(VARIABLE)
        text, source = (given, f"${VARIABLE}") if given else (path.read_text(), str(path))
        try:
            return cls(master=bytes.fromhex(text.strip()))
        except ValueError:
            raise ValueError(
                f"{source}: expected {2 * KEY_BYTES} hexadecimal digits, got {len(text.strip())} characters"
            ) from None

    @classmethod
    def new(cls) -> Secrets:
        """Fresh ones from the system's randomness."""
        return cls(master=secrets.token_bytes(KEY_BYTES))

    def derived(self, purpose: str) -> bytes:
        """A key of 32 bytes for one purpose.

        Source: RFC 5869 (HKDF), with SHA-256.
        """
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=f"facemin {purpose}".encode()).derive(
            self.master
        )

    def digest(self, purpose: str, data: bytes) -> bytes:
        """Keyed hash (HMAC-SHA256) of some bytes: without the master key nobody can test a guess against it."""
        return hmac.digest(self.derived(purpose), data, sha256)


@dataclass(frozen=True, kw_only=True)
class TemplateCipher:
    """Encrypts templates, each bound to whose it is and to the model that made it.

    Source: NIST SP 800-38D (AES-GCM); a fresh 96-bit nonce a template stays safe up to 2^32 of them.

    Args:
        secrets: of the provider.
    """

    secrets: Secrets
    _aes: AESGCM = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_aes", AESGCM(self.secrets.derived("templates")))

    def seal(self, row: NDArray[np.float32], *, owner: str) -> bytes:
        """Encrypt a template (D,) as nonce, ciphertext and tag.

        Args:
            row: float32.
            owner: what it is bound to (`sealing.owner`); opening it for another owner fails.
        """
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._aes.encrypt(nonce, np.ascontiguousarray(row, "<f4").tobytes(), owner.encode())

    def open(self, sealed: bytes, *, owner: str) -> NDArray[np.float32]:
        """Decrypt a template to float32 (D,).

        Raises:
            ValueError: sealed with another master key, for another owner, or changed since.
        """
        try:
            data = self._aes.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], owner.encode())
        except (InvalidTag, ValueError):
            raise ValueError(
                "template: expected one sealed with this master key for this person and model (by name, collection, "
                "kind and key), got another or a changed one"
            ) from None
        return np.frombuffer(data, "<f4").astype(np.float32)

"""Authenticated encryption of what a device keeps under a secret."""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from facemin.pseudonym.encoding import derive_key
from facemin.pseudonym.secret import Secret

_NONCE_BYTES = 12


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

"""Canonical encoding of inputs, and the keys derived from them."""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_LONGEST_FIELD = 2**32 - 1
_LARGEST_INTEGER = 2**64 - 1


def encode_fields(*fields: bytes | str | int) -> bytes:
    """Join fields so that two lists with the same number of fields give the same bytes only if they are equal.

    Each field is its length in bytes (four bytes, big-endian) and then itself: bytes as they are, text in UTF-8, an
    integer in eight bytes, big-endian.

    Args:
        fields: integers in [0, 2^64).

    Raises:
        ValueError: an integer out of range, or text that is no Unicode (a lone surrogate).
    """
    parts = [_encoded(field) for field in fields]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def derive_key(secret: bytes, *, salt: str, info: bytes = b"", length: int = 32) -> bytes:
    """A key for one use.

    Source: RFC 5869 (HKDF), with SHA-256.

    Args:
        secret: 32 random bytes.
        salt: names the use and its version, ASCII.
        info: what the key is bound to, see `encode_fields`.
        length: bytes to derive.
    """
    return HKDF(algorithm=SHA256(), length=length, salt=salt.encode("ascii"), info=info).derive(secret)


def _encoded(field: bytes | str | int) -> bytes:
    if isinstance(field, int):
        if not 0 <= field <= _LARGEST_INTEGER:
            raise ValueError(f"integer: expected one in [0, 2^64), got {field}")
        return field.to_bytes(8, "big")
    if isinstance(field, str):
        try:
            field = field.encode()
        except UnicodeEncodeError:
            raise ValueError(f"text: expected Unicode, got a lone surrogate in {field!r:.80}") from None
    if len(field) > _LONGEST_FIELD:
        raise ValueError(f"field: expected at most {_LONGEST_FIELD} bytes, got {len(field)}")
    return field

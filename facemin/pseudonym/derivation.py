"""Derivation of a rotation's seed and of the uniform numbers it is made of; spec/pseudonym.md."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from facemin.pseudonym.encoding import derive_key, encode_fields
from facemin.pseudonym.origin import normalise_origin

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facemin.pseudonym.secret import Secret

VERSION = 1
SALT = "facemin pseudonym v1"
LARGEST_DIMENSION = 1024
LARGEST_EPOCH = 2**53 - 1
"""Beyond it JavaScript's numbers are not whole any more."""

_LONGEST_PURPOSE = 256


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a pseudonym is bound to, besides the secret: any other value of any field gives an unrelated one.

    Args:
        origin: the recipient's authenticated origin, see `normalise_origin` (kept in that form); `LOCAL` for none.
        signer: Ed25519 public key that signs the recipient's keys, 32 bytes; empty where they are not signed.
        space: SHA-256 of the graph that gives the space, 32 bytes.
        dimension: of the space, 2..1024.
        purpose: the collection, or another purpose that the recipient names; 1 to 256 bytes of UTF-8, no control
            characters (kept in Unicode's normalisation form C).
        epoch: 0..2^53 - 1, raised by renewal; public.

    Raises:
        ValueError: a field is none of these.
    """

    origin: str
    signer: bytes = b""
    space: bytes
    dimension: int
    purpose: str
    epoch: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "origin", normalise_origin(self.origin))
        object.__setattr__(self, "purpose", checked_purpose(self.purpose))
        if not isinstance(self.signer, bytes) or len(self.signer) not in (0, 32):
            raise ValueError(f"signer: expected 32 bytes or none, got {_told(self.signer)}")
        if not isinstance(self.space, bytes) or len(self.space) != 32:
            raise ValueError(f"space: expected a SHA-256 of 32 bytes, got {_told(self.space)}")
        check_integer("dimension", self.dimension, 2, LARGEST_DIMENSION)
        check_integer("epoch", self.epoch, 0, LARGEST_EPOCH)

    def encode(self) -> bytes:
        """Canonical bytes: version, origin, signer, space, dimension, purpose, epoch as `encode_fields` joins them."""
        return encode_fields(VERSION, self.origin, self.signer, self.space, self.dimension, self.purpose, self.epoch)


def derive_seed(secret: Secret, context: Context) -> bytes:
    """The rotation's seed, 32 bytes: HKDF-SHA256 of the secret, with the context as its information."""
    return derive_key(secret.data, salt=SALT, info=context.encode())


def uniforms(seed: bytes, count: int) -> NDArray[np.float64]:
    """Uniform numbers in (0, 1] from a seed, (count,) float64, multiples of 2^-53.

    The stream is AES-256 in counter mode over zeros, the seed its key, the first counter block zero and big-endian.
    Eight bytes, big-endian, give one number: their upper 53 bits k become (k + 1) / 2^53.

    Raises:
        ValueError: the seed is not 32 bytes, or count is negative.
    """
    if len(seed) != 32 or count < 0:
        raise ValueError(f"seed, count: expected 32 bytes and a number from 0 on, got {len(seed)} bytes and {count}")
    stream = Cipher(AES(seed), CTR(bytes(16))).encryptor().update(bytes(8 * count))
    whole = np.frombuffer(stream, ">u8").astype(np.uint64) >> np.uint64(11)
    return (whole.astype(np.float64) + 1) / 2**53


def normals(seed: bytes, count: int) -> NDArray[np.float64]:
    """Standard normal numbers from a seed, (count,) float64, by Box and Muller.

    Of two uniform numbers u, v one after another come first sqrt(-2 ln u) cos(2 pi v), then the same with the sine;
    of an odd count the last sine is left out.

    Source: Box and Muller, A note on the generation of random normal deviates, 1958.

    Raises:
        ValueError: as `uniforms`.
    """
    pairs = uniforms(seed, count + count % 2).reshape(-1, 2)
    radius, angle = np.sqrt(-2 * np.log(pairs[:, 0])), 2 * np.pi * pairs[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)[:count]


def checked_purpose(purpose: str) -> str:
    """A purpose in normalisation form C.

    Raises:
        ValueError: it is empty, too long, holds a control character or a lone surrogate.
    """
    if not isinstance(purpose, str):
        raise ValueError(f"purpose: expected text, got {type(purpose).__name__}")  # noqa: TRY004 - input from outside
    text = unicodedata.normalize("NFC", purpose)
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text):
        raise ValueError(f"purpose: expected text without control characters, got {purpose!r:.100}")
    if not 1 <= len(text.encode()) <= _LONGEST_PURPOSE:
        raise ValueError(f"purpose: expected 1 to {_LONGEST_PURPOSE} bytes of UTF-8, got {len(text.encode())}")
    return text


def check_integer(name: str, value: int, low: int, high: int) -> None:
    """Raise ValueError unless value is an integer in low..high."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name}: expected an integer in {low}..{high}, got {value!r:.60}")


def _told(value: object) -> str:
    return f"{len(value)} bytes" if isinstance(value, bytes) else type(value).__name__

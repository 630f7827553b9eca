"""A person's secret: 256 random bits, their fingerprint, and their words for paper."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from facemin.pseudonym.encoding import derive_key

if TYPE_CHECKING:
    from mnemonic import Mnemonic

SECRET_BYTES = 32
WORDS = 24
LOSS = (
    "Whoever loses this secret loses every enrolment made with it: providers then take the person for a stranger, "
    "and nobody can make it again. Keep its words on paper (facemin secret words)."
)
"""What is said wherever a secret is made."""

_FINGERPRINT_SALT = "facemin secret fingerprint v1"
_FEWEST_VALUES = 16  # of 32 random bytes fewer than 16 are different about once in 10^15 draws


@dataclass(frozen=True, eq=False)
class Secret:
    """256 random bits that a person's devices have and nobody else.

    Args:
        data: 32 bytes.

    Raises:
        ValueError: another number of bytes, or bytes that nobody drew at random; they are not repeated.
    """

    data: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.data, bytes) or len(self.data) != SECRET_BYTES:
            got = f"{len(self.data)} bytes" if isinstance(self.data, bytes) else type(self.data).__name__
            raise ValueError(f"secret: expected {SECRET_BYTES} bytes, got {got}")
        if weakness := _weakness(self.data):
            raise ValueError(f"secret: expected {SECRET_BYTES} random bytes, got {weakness}; make a new one")

    @classmethod
    def new(cls) -> Secret:
        """A fresh one from the operating system's randomness."""
        return cls(secrets.token_bytes(SECRET_BYTES))

    @classmethod
    def from_words(cls, words: str) -> Secret:
        """Read the 24 words of `words`; four letters of a word will do, in any case.

        Source: BIP-39. The secret is what it calls entropy; its passphrase and its seed are not used.

        Raises:
            ValueError: another number of words, one that is not on the list (its place is named, not the word), or
                words that are written right and do not belong together.
        """
        given = words.casefold().split()
        if len(given) != WORDS:
            raise ValueError(f"words: expected {WORDS}, got {len(given)}")
        listed = _bip39().wordlist
        starts = {word[:4]: word for word in listed}
        known = [word if word in listed else starts.get(word) for word in given]
        wrong = [place for place, word in enumerate(known, 1) if word is None]
        if wrong:
            places = ", ".join(map(str, wrong))
            raise ValueError(f"words: expected words of BIP-39's English list, got another as word {places}")
        try:
            data = bytes(_bip39().to_entropy([word for word in known if word is not None]))
        except ValueError:
            raise ValueError(
                "words: expected the words of one secret in their order, got others: the checksum fails, so that at "
                "least one word is not the one on paper, or two are exchanged"
            ) from None
        return cls(data)

    @property
    def words(self) -> str:
        """The secret as 24 English words, for paper: whoever reads them has the secret."""
        return str(_bip39().to_mnemonic(self.data))

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that tell secrets apart and say nothing about them.

        They are the same wherever the secret is used: for records on the person's own devices, not for providers.
        """
        return derive_key(self.data, salt=_FINGERPRINT_SALT, length=8).hex()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self.data, other.data)

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"Secret({self.fingerprint})"


def _weakness(data: bytes) -> str | None:
    """What shows that bytes were not drawn at random, or None."""
    if any(data == (data[:period] * SECRET_BYTES)[:SECRET_BYTES] for period in range(1, SECRET_BYTES // 2 + 1)):
        return "one and the same again and again"
    if len({(later - earlier) % 256 for earlier, later in pairwise(data)}) == 1:
        return "bytes in a row"
    if len(set(data)) < _FEWEST_VALUES:
        return f"only {len(set(data))} different ones"
    # once in 10^13 draws
    return "text" if all(0x20 <= value < 0x7F for value in data) else None


@cache
def _bip39() -> Mnemonic:
    from mnemonic import Mnemonic

    return Mnemonic("english")

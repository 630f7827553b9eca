"""Keys compared by their file's fingerprint, to remember what was computed of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facemin.keys.key import Key


class ByFingerprint:
    """A key that is equal to every other of the same bytes."""

    def __init__(self, key: Key) -> None:
        self.key = key

    def __hash__(self) -> int:
        return hash(self.key.fingerprint)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByFingerprint) and self.key.fingerprint == other.key.fingerprint

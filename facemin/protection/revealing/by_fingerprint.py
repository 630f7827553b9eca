"""Keys and protectors compared by their file's fingerprint, to remember what was computed of one."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from facemin.models.onnx.run import FaceRunner

if TYPE_CHECKING:
    from facemin.keys.key import Key


class _File(Protocol):
    @property
    def fingerprint(self) -> str: ...


_AnyFile = TypeVar("_AnyFile", bound=_File)


class ByFingerprint(Generic[_AnyFile]):
    """A file that is equal to every other of the same bytes."""

    def __init__(self, file: _AnyFile) -> None:
        self.file = file

    def __hash__(self) -> int:
        return hash(self.file.fingerprint)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByFingerprint) and self.file.fingerprint == other.file.fingerprint


def key_runner(key: Key) -> FaceRunner:
    """What runs a key's graph on one thread; kept for the keys that were used last, since opening one takes a while."""
    return _runner(ByFingerprint(key))


@lru_cache(maxsize=4)
def _runner(given: ByFingerprint[Key]) -> FaceRunner:
    return FaceRunner(given.file.graph)

"""Keys and protectors compared by digest, to remember what was computed of one."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Generic, TypeVar

from facemin.models.onnx.run import FaceRunner

if TYPE_CHECKING:
    from facemin.keys.key import Key

_AnyFile = TypeVar("_AnyFile")


class ByDigest(Generic[_AnyFile]):
    """A file that is equal to every other of the same digest."""

    def __init__(self, file: _AnyFile, digest: str) -> None:
        self.file, self.digest = file, digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByDigest) and self.digest == other.digest


def by_graph(key: Key) -> ByDigest[Key]:
    """A key by its graph alone: one that was renewed computes what the one before it did."""
    return ByDigest(key, key.manifest.sha256)


def key_runner(key: Key) -> FaceRunner:
    """What runs a key's graph on one thread; kept for the keys that were used last, since opening one takes a while."""
    return _runner(by_graph(key))


@lru_cache(maxsize=4)
def _runner(given: ByDigest[Key]) -> FaceRunner:
    return FaceRunner(given.file.graph)

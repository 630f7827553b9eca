"""Sources of training faces: aligned images on disk, each with its person."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from facemin.autograd.pixels import to_tensor
from facemin.datasets import Folder, InsightFaceRecords, landmarks
from facemin.face import SIDE, is_aligned
from facemin.image import decode
from facemin.train.data.aligned import align_photos

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from facemin.train.config import Data


class FaceSource(Protocol):
    """Aligned faces and whose they are; reading one touches nothing but its file."""

    @property
    def people(self) -> tuple[str, ...]:
        """Names by number."""

    @property
    def identities(self) -> Tensor:
        """Each face's person, (N,) int64."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 in hexadecimal of which faces there are, in which order, and whose; not of their pixels."""

    def read(self, index: int) -> Tensor:
        """A face, uint8 RGB (3, 112, 112), contiguous; ValueError for an image of another size or none."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FolderFaces:
    """Aligned images in one folder per person.

    Args:
        root: the folder.
        paths: of the images, relative to it; person/image.
    """

    root: Path
    paths: tuple[str, ...]
    people: tuple[str, ...]
    identities: Tensor

    @classmethod
    def of(cls, root: Path, paths: Sequence[str]) -> FolderFaces:
        """The images at these paths; the first part of a path is who it shows."""
        owners = [path.partition("/")[0] for path in paths]
        people = tuple(sorted(set(owners)))
        number = {name: at for at, name in enumerate(people)}
        identities = torch.tensor([number[owner] for owner in owners], dtype=torch.int64)
        return cls(root=root, paths=tuple(paths), people=people, identities=identities)

    @property
    def fingerprint(self) -> str:
        """See `FaceSource.fingerprint`."""
        return hashlib.sha256("\0".join(self.paths).encode("utf-8", "surrogateescape")).hexdigest()

    def read(self, index: int) -> Tensor:
        """See `FaceSource.read`."""
        return _face(self.root / self.paths[index], str(self.root / self.paths[index]))


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordFaces:
    """An InsightFace training set. All of it is read once to learn who is on which image."""

    records: InsightFaceRecords
    identities: Tensor

    @classmethod
    def of(cls, root: Path) -> RecordFaces:
        """Open a training set; errors are `InsightFaceRecords`'s."""
        records = InsightFaceRecords(root)
        return cls(records=records, identities=torch.tensor([image.identity for image in records], dtype=torch.int64))

    @property
    def people(self) -> tuple[str, ...]:
        """Numbers, as the set has them."""
        return tuple(str(number) for number in range(self.records.classes))

    @property
    def fingerprint(self) -> str:
        """See `FaceSource.fingerprint`."""
        size = self.records.records.stat().st_size
        return hashlib.sha256(self.identities.numpy().tobytes() + str(size).encode()).hexdigest()

    def read(self, index: int) -> Tensor:
        """See `FaceSource.read`."""
        return _face(self.records[index].encoded, f"{self.records.records}, image {index}")


def open_source(
    data: Data, *, cache: Path, write: bool = True, on_aligned: Callable[[int, int], None] | None = None
) -> FaceSource:
    """Open the faces that a configuration names; photos that are not aligned yet are, into the cache.

    Args:
        data: which.
        cache: used where the configuration has none of its own.
        write: whether photos may be aligned here; False for a process that waits for another to have done it.
        on_aligned: called with the number of photos that are done and that of all.

    Raises:
        ValueError: data that are missing or damaged.
        OSError: a file that cannot be read or written.
    """
    if data.kind == "insightface":
        return RecordFaces.of(data.root)
    found = list(Folder(data.root))
    images = Counter(photo.identity for photo in found)
    # before they are aligned, because most people of a set like LFW have one photo
    photos = [photo.path for photo in found if images[photo.identity] >= data.min_images]
    if data.aligned:
        return FolderFaces.of(data.root, photos)
    faces = data.cache or cache
    points = None if data.landmarks is None else landmarks(data.landmarks)
    names = align_photos(data.root, photos, into=faces, points=points, write=write, on_aligned=on_aligned)
    return FolderFaces.of(faces, names)


def _face(encoded: Path | bytes, name: str) -> Tensor:
    pixels = decode(encoded, name=name).pixels
    if not is_aligned(pixels):
        raise ValueError(
            f"{name}: expected an aligned face of {SIDE} x {SIDE}, got {pixels.shape[1]} x {pixels.shape[0]}"
        )
    return to_tensor(pixels)

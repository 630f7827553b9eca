"""InsightFace's .bin verification sets (LFW, CFP, AgeDB-30, CALFW, CPLFW), read without unpickling.

A file is a pickle of ([2 N encoded images], [N flags]); pair i is images 2 i and 2 i + 1, 112 x 112, aligned.
"""

from collections.abc import Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO, ClassVar, NamedTuple

from facemin.datasets.pickle_arrays import REWRITE, Span, Value
from facemin.datasets.pickle_bytes import read_pickle


class EncodedPair(NamedTuple):
    """Two encoded images (JPEG or PNG bytes) and whether they show one person."""

    a: bytes
    b: bytes
    same: bool


class InsightFaceBin:
    """The pairs of one .bin file, in order; only their places in the file are kept in memory.

    Source: deepinsight/insightface, recognition/arcface_torch/eval/verification.py (the format).

    Args:
        path: the .bin file; written by Python 2 or 3, images as byte strings or uint8 arrays.

    Raises:
        ValueError: no such file; not such a pickle, also one cut off or one that holds anything else
            (nothing in it is ever run); not two images per flag.
    """

    licence: ClassVar[str] = (
        "InsightFace's packed sets are for non-commercial research; each photo stays under the terms of the "
        "set it came from."
    )

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise ValueError(f"{self.path}: expected an InsightFace .bin file, found none")
        if self.path.stat().st_size == 0:
            raise ValueError(f"{self.path}: expected an InsightFace .bin file, got an empty one")
        with self.path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as buffer:
            try:
                self._images, self._same = _checked(read_pickle(buffer))
            except ValueError as error:
                raise ValueError(f"{self.path}: {error}") from None

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self._same)

    def __getitem__(self, index: int) -> EncodedPair:
        """Read one pair; IndexError outside -len..len - 1."""
        same = self._same[index]
        index %= len(self._same)
        with self.path.open("rb") as file:
            return self._pair(file, index, same)

    def __iter__(self) -> Iterator[EncodedPair]:
        """Read pair after pair."""
        with self.path.open("rb") as file:
            for index, same in enumerate(self._same):
                yield self._pair(file, index, same)

    def _pair(self, file: BinaryIO, index: int, same: bool) -> EncodedPair:
        return EncodedPair(self._read(file, 2 * index), self._read(file, 2 * index + 1), same)

    def _read(self, file: BinaryIO, image: int) -> bytes:
        span = self._images[image]
        file.seek(span.offset)
        encoded = file.read(span.length)
        if len(encoded) != span.length:
            raise ValueError(f"{self.path}: image {image} is cut off; the file has changed since it was opened")
        return encoded


def _checked(value: Value) -> tuple[list[Span], list[bool]]:
    if not (isinstance(value, tuple) and len(value) == 2 and all(isinstance(part, list) for part in value)):
        raise ValueError(f"expected a pickled pair of lists (images, flags), got a {type(value).__name__}. {REWRITE}")
    images, flags = value
    assert isinstance(images, list)
    assert isinstance(flags, list)
    spans = [image for image in images if isinstance(image, Span) and image.length > 0]
    if len(spans) != len(images):
        raise ValueError(f"expected encoded images only, got {len(images) - len(spans)} other or empty entries")
    same = [flag == 1 for flag in flags if isinstance(flag, int) and flag in (0, 1)]
    if len(same) != len(flags):
        raise ValueError(f"expected flags only, got {len(flags) - len(same)} other entries. {REWRITE}")
    if not same or len(spans) != 2 * len(same):
        raise ValueError(f"expected two images per flag, got {len(spans)} images and {len(same)} flags")
    return spans, same

"""InsightFace's training sets (MS1MV2, Glint360K, CASIA, ...): train.rec, train.idx and, mostly, property."""

import struct
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from facemin.datasets.recordio import read_record

MOST_IDENTITIES = 1 << 24
"""Labels are single-precision numbers, which are exact up to here."""

LONGEST_LINE = 64
UTF8_BOM = b"\xef\xbb\xbf"


class LabelledImage(NamedTuple):
    """An encoded image (JPEG or PNG bytes) and the number of its identity, from 0."""

    encoded: bytes
    identity: int


class InsightFaceRecords:
    """The images of one folder, by number or in order; only the index is kept in memory, 16 bytes an image.

    Record 0 says which keys are images: 1 up to its first label, exclusively. A set without such a record
    holds an image under every key.
    Source: deepinsight/insightface, recognition/arcface_torch/dataset.py; apache/mxnet,
    src/io/image_recordio.h (each record's header: flag, label, two ids, then flag float32 labels).

    Args:
        root: folder that holds train.rec, train.idx and, mostly, property.

    Attributes:
        classes: number of identities, as `property` states it; without that file as record 0 does, or, without such
            a record either, one more than the largest identity of an image.
        height: images' height in pixels, as stated; None where nothing says it.
        width: images' width in pixels, likewise.

    Raises:
        ValueError: a file is missing, cut off or damaged; names the offset or line.
    """

    licence: ClassVar[str] = (
        "InsightFace's packed training sets are for non-commercial research; MS-Celeb-1M, from which many "
        "derive, has been withdrawn by its publisher."
    )

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self.records = self.root / "train.rec"
        for path in (self.records, self.root / "train.idx"):
            if not path.is_file():
                raise ValueError(f"{path}: expected a file of an InsightFace training set, found none")
        stated = self.root / "property"
        self.classes = 0
        self.height: int | None = None
        self.width: int | None = None
        if stated.is_file():
            self.classes, self.height, self.width = _read_property(stated)
        self._keys, self._offsets = _read_index(self.root / "train.idx")
        self._size = self.records.stat().st_size
        with self.records.open("rb") as file:
            self._check_end(file)
            self._images = self._find_images(file)
            self.classes = self.classes or self._count(file)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._images)

    def __getitem__(self, index: int) -> LabelledImage:
        """Read one image; IndexError outside -len..len - 1."""
        place = self._images[index]
        with self.records.open("rb") as file:
            return self._image(file, place)

    def __iter__(self) -> Iterator[LabelledImage]:
        """Read image after image, in the order of their keys."""
        with self.records.open("rb") as file:
            for place in self._images:
                yield self._image(file, place)

    def _read(self, file: BinaryIO, place: int) -> tuple[tuple[float, ...], bytes, int]:
        offset = int(self._offsets[place])
        try:
            record, end = read_record(file, offset, self._size)
            return *_unpack(record, offset), end
        except ValueError as error:
            raise ValueError(f"{self.records}: {error}") from None

    def _image(self, file: BinaryIO, place: int) -> LabelledImage:
        labels, encoded, _ = self._read(file, place)
        where = f"{self.records}: record at byte {self._offsets[place]}"
        identity = labels[0] if labels else -1.0
        # Compared first: int() of a NaN or an infinity raises.
        if not (0 <= identity < self.classes and identity == int(identity)):
            raise ValueError(f"{where}: expected an identity in 0..{self.classes - 1}, got {identity}")
        if not encoded:
            raise ValueError(f"{where}: expected an image, got no bytes")
        return LabelledImage(encoded, int(identity))

    def _check_end(self, file: BinaryIO) -> None:
        end = self._read(file, int(self._offsets.argmax()))[2]
        if end != self._size:
            raise ValueError(
                f"{self.root / 'train.idx'}: its last record ends at byte {end} of the {self._size} in "
                "train.rec; one of the two files is not complete"
            )

    def _count(self, file: BinaryIO) -> int:
        """Number of identities: between record 0's labels lies one record for each, else by the images' labels."""
        if self._images.start == 1:
            labels = self._read(file, 0)[0]
            count = labels[1] - labels[0]
            if 1 <= count <= len(self._images) and count == int(count):
                return int(count)
        largest = -1.0
        for place in self._images:
            labels = self._read(file, place)[0]
            if not (labels and 0 <= labels[0] < MOST_IDENTITIES and labels[0] == int(labels[0])):
                raise ValueError(
                    f"{self.records}: record at byte {self._offsets[place]}: expected an identity from 0 on, "
                    f"got {labels[0] if labels else 'none'}"
                )
            largest = max(largest, labels[0])
        return int(largest) + 1

    def _find_images(self, file: BinaryIO) -> range:
        if self._keys[0] != 0:
            return range(len(self._keys))
        labels, encoded, _ = self._read(file, 0)
        if len(labels) < 2 or encoded:
            return range(len(self._keys))
        stop = int(np.searchsorted(self._keys, labels[0]))
        # Keys are distinct and sorted, so as many as that below the stop are all of them.
        if stop != labels[0] or stop < 2:
            raise ValueError(
                f"{self.root / 'train.idx'}: expected every key below {labels[0]:.0f} (the first label of "
                f"record 0), got {stop} of them"
            )
        return range(1, stop)


def _unpack(record: bytes, offset: int) -> tuple[tuple[float, ...], bytes]:
    """Split a record into its labels and the image's bytes."""
    if len(record) < 24:
        raise ValueError(f"record at byte {offset}: expected a header of 24 bytes, got {len(record)}")
    count, label = struct.unpack_from("<If", record)
    if count == 0:
        return (label,), record[24:]
    start = 24 + 4 * count
    if start > len(record):
        raise ValueError(f"record at byte {offset}: {count} labels declared, {len(record) - 24} bytes left")
    return struct.unpack_from(f"<{count}f", record, 24), record[start:]


def _read_property(path: Path) -> tuple[int, int, int]:
    with path.open("rb") as file:
        text = file.read(100).removeprefix(UTF8_BOM).decode("ascii", errors="replace")
    fields = [field.strip() for field in text.split(",")]
    if len(fields) != 3 or not all(field.isdecimal() and int(field) > 0 for field in fields):
        raise ValueError(f"{path}: expected 'identities,height,width', got {','.join(fields)!r}")
    classes, height, width = map(int, fields)
    return classes, height, width


def _read_index(path: Path) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Read the lines 'key<tab>offset'; return the keys, rising, and their offsets."""
    numbers = array("Q")
    with path.open("rb") as file:
        # readline with a limit: a file without line ends must not be read whole.
        for line_number, line in enumerate(iter(lambda: file.readline(LONGEST_LINE), b""), start=1):
            line = line.removeprefix(UTF8_BOM) if line_number == 1 else line
            fields = line.split()
            # the last line may lack its end: a number cut short is noticed by where its record would lie
            if len(fields) != 2 or len(line) >= LONGEST_LINE or not all(map(_fits, fields)):
                raise ValueError(f"{path}, line {line_number}: expected 'key<tab>offset', got {line!r}")
            numbers.extend(map(int, fields))
    if not numbers:
        raise ValueError(f"{path}: expected lines 'key<tab>offset', got an empty file")
    keys, offsets = np.array(numbers, dtype=np.uint64).reshape(-1, 2).T
    order = np.argsort(keys, kind="stable")
    keys, offsets = keys[order], offsets[order]
    repeated = keys[1:][keys[1:] == keys[:-1]]
    if len(repeated):
        raise ValueError(f"{path}: expected each key once, got {repeated[0]} twice")
    return keys, offsets


def _fits(field: bytes) -> bool:
    return field.isdigit() and len(field) <= 18

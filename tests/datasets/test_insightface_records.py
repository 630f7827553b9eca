"""RecordIO and InsightFace's training sets, written here after dmlc's and MXNet's format."""

import itertools
import math
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facemin.datasets import InsightFaceRecords, LabelledImage
from facemin.datasets.recordio import read_record

MAGIC = struct.pack("<I", 0xCED7230A)


def frame(record: bytes) -> bytes:
    """One record as dmlc's writer frames it: split wherever the magic stands at a multiple of four."""
    parts, begun = [], 0
    for at in range(0, len(record) - 3, 4):
        if record[at : at + 4] == MAGIC:
            parts.append(record[begun:at])
            begun = at + 4
    parts.append(record[begun:])
    flags = [0] if len(parts) == 1 else [1, *[2] * (len(parts) - 2), 3]
    return b"".join(
        MAGIC + struct.pack("<I", flag << 29 | len(part)) + part + bytes(-len(part) % 4)
        for flag, part in zip(flags, parts, strict=True)
    )


def record(image: bytes, *labels: float, key: int = 0, array: bool = False) -> bytes:
    """MXNet's header (flag, label, id, id2), labels after it where there are several, then the image."""
    if len(labels) == 1 and not array:
        return struct.pack("<IfQQ", 0, labels[0], key, 0) + image
    return struct.pack("<IfQQ", len(labels), 0, key, 0) + struct.pack(f"<{len(labels)}f", *labels) + image


IMAGES = [
    LabelledImage(b"\xff\xd8first", 0),
    LabelledImage(b"abcd" + MAGIC + b"efgh" + MAGIC + MAGIC + b"i", 1),
    LabelledImage(MAGIC, 1),
    LabelledImage(b"x" + MAGIC, 2),
]


def write(root: Path, records: dict[int, bytes], *, classes: str = "3,112,112") -> Path:
    content, index = b"", ""
    for key, body in records.items():
        index += f"{key}\t{len(content)}\n"
        content += frame(body)
    root.mkdir(exist_ok=True)
    (root / "train.rec").write_bytes(content)
    (root / "train.idx").write_text(index)
    (root / "property").write_text(classes)
    return root


def training_set() -> dict[int, bytes]:
    """Four images under keys 1..4; under 5..7 each identity's range of keys, as InsightFace packs it."""
    images = {i + 1: record(image, identity, key=i + 1) for i, (image, identity) in enumerate(IMAGES)}
    identities = {5: record(b"", 1, 2), 6: record(b"", 2, 4), 7: record(b"", 4, 5)}
    return {**images, **identities, 0: record(b"", 5, 8)}


def test_images_in_order_and_by_number(tmp_path: Path) -> None:
    images = InsightFaceRecords(write(tmp_path / "set", training_set()))
    assert (images.classes, images.height, images.width) == (3, 112, 112)
    assert len(images) == 4
    assert list(images) == IMAGES
    assert [images[2], images[-1]] == [IMAGES[2], IMAGES[3]]
    with pytest.raises(IndexError):
        images[4]
    assert "non-commercial" in images.licence


def test_the_split_records_were_split(tmp_path: Path) -> None:
    content = (write(tmp_path / "set", training_set()) / "train.rec").read_bytes()
    flags = {
        struct.unpack_from("<I", content, at + 4)[0] >> 29
        for at in range(0, len(content), 4)
        if content[at : at + 4] == MAGIC
    }
    assert flags == {0, 1, 2, 3}


def test_a_set_without_a_header_record(tmp_path: Path) -> None:
    records = {key: record(image, identity, 7.5) for key, (image, identity) in enumerate(IMAGES)}
    assert list(InsightFaceRecords(write(tmp_path / "set", records))) == IMAGES
    from_nine = {key + 9: record(image, identity) for key, (image, identity) in enumerate(IMAGES)}
    assert list(InsightFaceRecords(write(tmp_path / "set", from_nine))) == IMAGES


@given(st.lists(st.binary(max_size=40) | st.lists(st.sampled_from([MAGIC, b"abcd", b"z"])).map(b"".join)))
@settings(deadline=None)
def test_records_come_back_as_written(tmp_path_factory: pytest.TempPathFactory, bodies: list[bytes]) -> None:
    path = tmp_path_factory.getbasetemp() / "plain.rec"
    path.write_bytes(b"".join(map(frame, bodies)))
    size, at, found = path.stat().st_size, 0, []
    with path.open("rb") as file:
        while at < size:
            body, at = read_record(file, at, size)
            found.append(body)
    assert found == bodies


def patched(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


@pytest.mark.parametrize(
    ("at", "new", "message"),
    [
        (0, b"\0\0\0\0", "record at byte 0: expected the magic 0xced7230a, got 0x0"),
        (4, struct.pack("<I", 0x1FFFFFFF), "record at byte 0: 536870911 bytes declared, "),
        (4, struct.pack("<I", 2 << 29 | 31), "record at byte 0: a part with flag 2 is out of order"),
        (4, struct.pack("<I", 7 << 29 | 31), "flag 7"),
        (4, struct.pack("<I", 1 << 29 | 31), "record at byte 0: a part with flag 1 is out of order"),
        (4, struct.pack("<I", 20), "record at byte 0: expected a header of 24 bytes, got 20"),
        (8, struct.pack("<I", 1 << 31), "record at byte 0: 2147483648 labels declared"),
        (12, struct.pack("<f", 3.0), r"record at byte 0: expected an identity in 0\.\.2, got 3"),
        (12, struct.pack("<f", 0.5), "identity"),
        (12, struct.pack("<f", -1.0), "identity"),
        (12, struct.pack("<f", math.nan), "identity"),
        (12, struct.pack("<f", math.inf), "identity"),
        (4, struct.pack("<I", 24), "record at byte 0: expected an image, got no bytes"),
    ],
)
def test_damage_is_named_with_its_offset(tmp_path: Path, at: int, new: bytes, message: str) -> None:
    root = write(tmp_path / "set", training_set())
    content = (root / "train.rec").read_bytes()
    (root / "train.rec").write_bytes(patched(content, at, new))
    with pytest.raises(ValueError, match=rf"train\.rec: .*{message}"):
        InsightFaceRecords(root)[0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("property", "3,112", "identities,height,width"),
        ("property", "3,112,", "identities,height,width"),
        ("property", "", "identities,height,width"),
        ("property", "0,112,112", "identities,height,width"),
        ("train.idx", "", "empty file"),
        ("train.idx", "0\t0", "not complete"),
        ("train.idx", "0\t0" + " " * 70, "line 1"),
        ("train.idx", "0\t0\none\t4\n", "line 2: expected 'key<tab>offset'"),
        ("train.idx", "0\t0\n0\t40\n", "each key once, got 0"),
        ("train.idx", "0\t-4\n", "line 1"),
        ("train.idx", "0\t" + "9" * 30 + "\n", "line 1"),
        ("train.idx", "0\t" + "9" * 18 + "\n", "no record can begin there"),
        ("train.idx", "0\t2\n", "no record can begin there"),
        ("train.idx", "1\t0\n", "not complete"),
    ],
)
def test_a_bad_side_file_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    root = write(tmp_path / "set", training_set())
    (root / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        InsightFaceRecords(root)


def test_missing_keys_are_noticed(tmp_path: Path) -> None:
    records = training_set()
    del records[3]
    with pytest.raises(ValueError, match=r"every key below 5 .*, got 4"):
        InsightFaceRecords(write(tmp_path / "set", records))


def test_missing_files_are_named(tmp_path: Path) -> None:
    for name in ("train.rec", "train.idx"):
        root = write(tmp_path / "set", training_set())
        (root / name).unlink()
        with pytest.raises(ValueError, match=rf"{name}: expected a file"):
            InsightFaceRecords(root)


def test_a_record_too_large_for_memory_is_refused(tmp_path: Path) -> None:
    """A sparse file, so that the declared length is really there."""
    root = write(tmp_path / "set", training_set())
    for words, message in (
        ([0 << 29 | 100 << 20], "got 104857600"),
        ([1 << 29 | 60 << 20, 3 << 29 | 60 << 20], "got more"),
    ):
        with (root / "train.rec").open("wb") as file:
            for word in words:
                file.write(MAGIC + struct.pack("<I", word))
                file.seek(word & 0x1FFFFFFF, 1)
            file.truncate()
        (root / "train.idx").write_text("1\t0\n")
        with pytest.raises(ValueError, match=f"at most 67108864 bytes, {message}"):
            InsightFaceRecords(root)


@pytest.mark.parametrize("name", ["train.rec", "train.idx"])
def test_cut_off_at_any_byte(tmp_path: Path, name: str) -> None:
    root = write(tmp_path / "set", training_set())
    content = (root / name).read_bytes()
    # an index may lack its last line's end
    for end in range(len(content) - (name == "train.idx")):
        (root / name).write_bytes(content[:end])
        with pytest.raises(ValueError, match="set"):
            list(InsightFaceRecords(root))


@given(st.sampled_from(["train.rec", "train.idx", "property"]), st.data())
@settings(max_examples=300, deadline=None)
def test_changed_bytes_raise_nothing_but_value_errors(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    root = write(tmp_path_factory.getbasetemp() / "changed", training_set())
    content = bytearray((root / name).read_bytes())
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[at] = data.draw(st.integers(0, 255))
    (root / name).write_bytes(content)
    try:
        found = list(InsightFaceRecords(root))
    except ValueError:
        return
    assert all(image.encoded and image.identity >= 0 for image in found)


def test_iteration_streams(tmp_path: Path) -> None:
    """The first images come although a later record is damaged."""
    root = write(tmp_path / "set", training_set())
    content = (root / "train.rec").read_bytes()
    offset = int((root / "train.idx").read_text().splitlines()[2].split("\t")[1])
    (root / "train.rec").write_bytes(patched(content, offset, b"\0\0\0\0"))
    assert list(itertools.islice(InsightFaceRecords(root), 2)) == IMAGES[:2]
    with pytest.raises(ValueError, match=f"record at byte {offset}"):
        list(InsightFaceRecords(root))


def test_without_property_identities_are_counted(tmp_path: Path) -> None:
    """By record 0, which names one record for each identity, or by the images where there is none."""
    headless = {i + 1: record(image, identity, key=i + 1) for i, (image, identity) in enumerate(IMAGES)}
    for number, records in enumerate((training_set(), headless)):
        root = write(tmp_path / str(number), records)
        (root / "property").unlink()
        images = InsightFaceRecords(root)
        assert (images.classes, images.height, images.width) == (3, None, None)
        assert list(images) == IMAGES


@pytest.mark.parametrize("label", [float("nan"), -1.0, 0.5, float("inf"), 1e30])
def test_without_property_a_label_that_is_no_number_is_named(tmp_path: Path, label: float) -> None:
    root = write(tmp_path / "set", {1: record(b"image", label, key=1)})
    (root / "property").unlink()
    with pytest.raises(ValueError, match=r"record at byte 0: expected an identity from 0 on"):
        InsightFaceRecords(root)


@pytest.mark.parametrize("text", ["3, 112, 112", " 3 ,112,\t112\r\n", "\ufeff3,112,112\n"])
def test_property_with_spaces_or_a_byte_order_mark(tmp_path: Path, text: str) -> None:
    root = write(tmp_path / "set", training_set())
    (root / "property").write_bytes(text.encode())
    images = InsightFaceRecords(root)
    assert (images.classes, images.height, images.width) == (3, 112, 112)


@pytest.mark.parametrize(
    "change", [lambda t: t[:-1], lambda t: b"\xef\xbb\xbf" + t, lambda t: t.replace(b"\n", b"\r\n")]
)
def test_an_index_without_its_last_line_end_or_with_other_ones(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    root = write(tmp_path / "set", training_set())
    index = root / "train.idx"
    index.write_bytes(change(index.read_bytes()))
    assert list(InsightFaceRecords(root)) == IMAGES

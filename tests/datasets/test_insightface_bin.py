"""InsightFace .bin files: as pickle writes them, as Python 2 wrote them, and as an attacker would."""

import gc
import os
import pickle
import struct
import time
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facemin.datasets import EncodedPair, InsightFaceBin, pickle_bytes
from facemin.datasets.pickle_arrays import Span
from facemin.datasets.pickle_bytes import read_pickle

IMAGES = [b"\xff\xd8one", b"\x89PNG two", b"3" * 255, b"4" * 256, b"5" * 70_000, b"\n.\x00six"]
SAME = [True, False, True]
PAIRS = [EncodedPair(IMAGES[2 * i], IMAGES[2 * i + 1], SAME[i]) for i in range(3)]


def write(folder: Path, content: bytes) -> Path:
    path = folder / "set.bin"
    path.write_bytes(content)
    return path


def python2(images: list[bytes], same: list[bool], *, protocol: int = 2) -> bytes:
    """What Python 2's cPickle writes: byte strings are its str, flags in protocol 1 are texts."""
    flags = {1: (b"I01\n", b"I00\n"), 2: (b"\x88", b"\x89")}[protocol]
    out = b"\x80\x02" if protocol == 2 else b"("
    out += b"]q\x01("
    for number, image in enumerate(images):
        short = len(image) < 256
        out += (b"U" + bytes([len(image)]) if short else b"T" + struct.pack("<i", len(image))) + image
        out += b"q" + bytes([number + 2])
    out += b"e]q\xf0(" + b"".join(flags[0] if flag else flags[1] for flag in same) + b"e"
    return out + (b"\x86q\xf1." if protocol == 2 else b"tq\xf1.")


def python2_array(image: bytes) -> bytes:
    """A list of one uint8 array as NumPy under Python 2 wrote it."""
    return (
        b"\x80\x02]q\x01(cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85q\x04"
        b"U\x01bq\x05\x87q\x06Rq\x07(K\x01K" + bytes([len(image)]) + b"\x85q\x08"
        b"cnumpy\ndtype\nq\tU\x02u1q\nK\x00K\x01\x87q\x0bRq\x0c(K\x03U\x01|q\rNNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tq\x0eb\x89U" + bytes([len(image)]) + image + b"q\x0ftq\x10be."
    )


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_pairs_of_byte_strings(tmp_path: Path, protocol: int) -> None:
    content = pickle.dumps((IMAGES, SAME), protocol=protocol)
    pairs = InsightFaceBin(write(tmp_path, content))
    assert len(pairs) == 3
    assert list(pairs) == PAIRS
    assert [pairs[i] for i in (0, 2, -1, -3)] == [PAIRS[0], PAIRS[2], PAIRS[2], PAIRS[0]]
    with pytest.raises(IndexError):
        pairs[3]
    assert "research" in pairs.licence


@pytest.mark.parametrize("protocol", [1, 2])
def test_python_2_files(tmp_path: Path, protocol: int) -> None:
    content = python2(IMAGES, SAME, protocol=protocol)
    assert pickle.loads(content, encoding="bytes") == (IMAGES, SAME)
    assert list(InsightFaceBin(write(tmp_path, content))) == PAIRS


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("writeable", [True, False])
def test_uint8_arrays(tmp_path: Path, protocol: int, writeable: bool) -> None:
    arrays = [np.frombuffer(image, np.uint8) for image in IMAGES]
    arrays = [array.copy() for array in arrays] if writeable else arrays
    arrays[1] = arrays[1].reshape(-1, 1)
    content = pickle.dumps((arrays, SAME), protocol=protocol)
    assert list(InsightFaceBin(write(tmp_path, content))) == PAIRS
    if protocol == 3:
        # Protocols from 4 on state the length of names and frames, so a name cannot be exchanged there.
        older = content.replace(b"numpy._core", b"numpy.core")
        assert list(InsightFaceBin(write(tmp_path, older))) == PAIRS


def test_uint8_arrays_of_python_2() -> None:
    content = python2_array(b"image")
    assert read_pickle(content) == [Span(content.index(b"image"), 5)]


@pytest.mark.parametrize("array", [np.arange(6, dtype=np.uint16), np.zeros((2, 3), np.uint8), np.zeros(3)])
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_other_arrays_are_refused(tmp_path: Path, array: np.ndarray, protocol: int) -> None:
    content = pickle.dumps(([array, array], [True]), protocol=protocol)
    with pytest.raises(ValueError, match="pickle: at byte"):
        InsightFaceBin(write(tmp_path, content))


def test_a_repeated_image_is_one_place_in_the_file(tmp_path: Path) -> None:
    content = pickle.dumps(([IMAGES[4], IMAGES[4]], [True]), protocol=4)
    assert len(content) < 71_000
    assert list(InsightFaceBin(write(tmp_path, content))) == [EncodedPair(IMAGES[4], IMAGES[4], True)]


class Evil:
    """Unpickling an instance would make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_call_is_refused_and_not_made(tmp_path: Path, protocol: int) -> None:
    for value in ([Evil(tmp_path / "made")], ([b"a", Evil(tmp_path / "made")], [True])):
        with pytest.raises(ValueError, match="not allowed"):
            InsightFaceBin(write(tmp_path, pickle.dumps(value, protocol=protocol)))
    assert not (tmp_path / "made").exists()


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n"
HOSTILE = {
    "system": b"cposix\nsystem\n(U\x04truetR.",
    "system by stack": b"\x8c\x05posix\x8c\x06system\x93)R.",
    "inst": b"(U\x04trueios\nsystem\n.",
    "newobj": b"cnumpy\nndarray\n)\x81.",
    "extension": b"\x82\x01.",
    "persistent id": b"Px\n.",
    "dict": b"}.",
    "huge bytes": b"]\x8e\xff\xff\xff\xff\xff\xff\xff\xff.",
    "huge bytes, 4": b"]B\xff\xff\xff\xff.",
    "huge text": b"X\xff\xff\xff\xff",
    "long text": b"X\x00\x01\x00\x00" + b"a" * 256 + b".",
    "huge frame": b"\x80\x04\x95" + b"\xff" * 8 + b".",
    "huge integer": b"\x8b\xff\xff\xff\x7f.",
    "endless line": b"c" + b"a" * 1_000_000,
    "deep marks": b"(" * 600_000,
    "deep lists": b"]" * 600_000,
    "deep tuples": b")" + b"\x85" * 600_000,
    "list in list": b"]]a.",
    "list in itself": b"]\x94h\x00a.",
    "tuples of tuples": b")" + b"\x94h\x00\x86" * 200_000,
    "memo": b"]" + b"\x94" * 600_000,
    "spread memo": b"K\x01" + b"".join(b"r" + struct.pack("<I", i * 7001) for i in range(600_000)),
    "many gets": b"]\x94(" + b"h\x00" * 600_000,
    "many flags": b"](" + b"\x88" * 600_000,
    "flags in batches": b"]" + (b"(" + b"\x88" * 60_000 + b"e") * 50,
    "many images": b"]" + b"C\x01xa" * 300_000,
    "pop below a mark": b"](a.",
    "append below a mark": b"](C\x01xae.",
    "empty stack": b"a.",
    "no mark": b"e.",
    "unknown memo": b"h\x07.",
    "two values": b"]].",
    "nothing": b".",
    "open mark": b"](.",
    "trailing": b"].more",
    "call a list": b"]]R.",
    "call a dtype": b"cnumpy\ndtype\n(U\x02O8K\x00K\x01tR.",
    "array by itself": b"]" + RECONSTRUCT + b"cnumpy\nndarray\nK\x00\x85U\x01b\x87Ra.",
    "array of another class": RECONSTRUCT + b"cnumpy\ndtype\nK\x00\x85U\x01b\x87R.",
    "array longer than its bytes": python2_array(b"image").replace(b"K\x05\x85", b"K\x06\x85"),
    "array with a negative shape": python2_array(b"image").replace(b"K\x05\x85", b"J\xff\xff\xff\xff\x85"),
    "name from integers": b"K\x01K\x02\x93.",
    "name from a list": b"]K\x02\x93.",
    "protocol 9": b"\x80\x09].",
    "unknown opcode": b"]\xff.",
    "opcode alone": b"]\x8e",
    "huge bytearray": b"]\x96\xff\xff\xff\x7f\x00\x00\x00\x00.",
    "negative string": b"]T\xff\xff\xff\xff.",
    "long integer": b"]\x8a\xff" + b"\x7f" * 255 + b"a.",
    "long integer in a line": b"]I" + b"9" * 100 + b"\na.",
    "no integer in a line": b"]Ione\na.",
    "name with spaces": b"cnumpy ndarray\nx y\n.",
    "invalid text": b"X\x02\x00\x00\x00\xff\xfe.",
    "text line": b"V" + b"\\u" * 40 + b"\n.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused_fast(name: str) -> None:
    begun = time.process_time()
    with pytest.raises(ValueError, match="pickle"):
        read_pickle(HOSTILE[name])
    # Half a second at most on a free core; the suite shares its cores.
    assert time.process_time() - begun < 5


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused_flat(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a tenth of the real bound on opcodes, as tracing memory is slow: 6 MiB stand for 60."""
    monkeypatch.setattr(pickle_bytes, "MAX_OPCODES", pickle_bytes.MAX_OPCODES // 10)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="pickle"):
            read_pickle(HOSTILE[name])
        assert tracemalloc.get_traced_memory()[1] < 6 << 20
    finally:
        tracemalloc.stop()


def test_one_huge_byte_string_is_refused_unread() -> None:
    size = pickle_bytes.MAX_BYTES + 1
    content = b"]B" + struct.pack("<I", size) + bytes(size) + b"a."
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=f"{size} bytes declared"):
            read_pickle(content)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_the_largest_known_set_of_arrays_is_within_the_bounds(tmp_path: Path) -> None:
    arrays = [np.frombuffer(number.to_bytes(2, "big"), np.uint8) for number in range(14_000)]
    content = pickle.dumps((arrays, [True] * 7_000), protocol=3)
    pairs = InsightFaceBin(write(tmp_path, content))
    assert len(pairs) == 7_000
    assert pairs[-1].b == (13_999).to_bytes(2, "big")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([b"a", b"b"], "pair of lists"),
        (([b"a", b"b"], [True], [True]), "pair of lists"),
        (([b"a", b"b"], [2]), "flags only, got 1"),
        (([b"a", b"b"], [b"1"]), "flags only"),
        (([b"a", b""], [True]), "encoded images only"),
        (([b"a", 7], [True]), "encoded images only"),
        (([b"a", b"b", b"c"], [True]), "two images per flag, got 3 images and 1"),
        (([], []), "two images per flag"),
        (([b"a", "b"], [True]), "not str"),
        (([b"a", None], [True]), "not NoneType"),
        (([b"a", b"b"], {"a": 1}), "not allowed"),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=rf"set\.bin.*{message}"):
        InsightFaceBin(write(tmp_path, pickle.dumps(value, protocol=4)))


def test_no_file_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="found none"):
        InsightFaceBin(tmp_path / "set.bin")
    with pytest.raises(ValueError, match="empty"):
        InsightFaceBin(write(tmp_path, b""))


def test_a_file_that_shrinks_while_open(tmp_path: Path) -> None:
    content = pickle.dumps((IMAGES, SAME), protocol=4)
    pairs = InsightFaceBin(write(tmp_path, content))
    write(tmp_path, content[:-100])
    with pytest.raises(ValueError, match="is cut off; the file has changed"):
        pairs[2]


SMALL = [b"abc", b"de" * 200, b"f", b"g"]
VARIANTS = {
    **{f"protocol {p}": pickle.dumps((SMALL, [True, False]), protocol=p) for p in (3, 4, 5)},
    **{
        f"arrays {p}": pickle.dumps(([np.frombuffer(i, np.uint8) for i in SMALL], [True, False]), protocol=p)
        for p in (3, 4, 5)
    },
    "python 2": python2(SMALL, [True, False]),
    "python 2, protocol 1": python2(SMALL, [True, False], protocol=1),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_cut_off_at_any_byte(name: str) -> None:
    content = VARIANTS[name]
    read_pickle(content)
    for end in range(len(content)):
        with pytest.raises(ValueError, match="pickle"):
            read_pickle(content[:end])


@given(st.sampled_from(sorted(VARIANTS)), st.data())
@settings(max_examples=300, deadline=None)
def test_changed_bytes_raise_nothing_but_value_errors(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    content = bytearray(VARIANTS[name])
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[at] = data.draw(st.integers(0, 255))
    path = write(tmp_path_factory.getbasetemp(), bytes(content))
    try:
        pairs = list(InsightFaceBin(path))
    except ValueError:
        return
    # Whatever is still accepted lies inside the file.
    assert all(a in content and b in content for a, b, _ in pairs)


def test_what_is_in_a_file_is_no_warning_of_ours() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="pickle: at byte"):
            read_pickle(b"S'\\u'\n.")


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_bytes_raise_nothing_but_value_errors(content: bytes) -> None:
    try:
        read_pickle(content)
    except ValueError:
        return


IN_OTHER_FORMS = {
    "protocol 0": pickle.dumps((IMAGES, SAME), protocol=0),
    "protocol 1": pickle.dumps((IMAGES, SAME), protocol=1),
    "protocol 2": pickle.dumps((IMAGES, SAME), protocol=2),
    "NumPy flags": pickle.dumps((IMAGES, [np.bool_(flag) for flag in SAME]), protocol=4),
    "NumPy integers": pickle.dumps((IMAGES, [np.int64(flag) for flag in SAME]), protocol=3),
    "an array of flags": pickle.dumps((IMAGES, np.array(SAME)), protocol=5),
    "byte arrays": pickle.dumps(([bytearray(image) for image in IMAGES], SAME), protocol=4),
}


@pytest.mark.parametrize("name", IN_OTHER_FORMS)
def test_other_forms_say_how_to_rewrite_them(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, IN_OTHER_FORMS[name])
    with pytest.raises(ValueError, match="If you trust whoever made the file") as caught:
        InsightFaceBin(path)
    command = str(caught.value).split("write it again: ")[1]
    new = tmp_path / "new.bin"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        exec(command, {"pickle": pickle, "FILE": path, "NEW": new, "open": open})  # the words are ours
    gc.collect()
    assert list(InsightFaceBin(new)) == PAIRS


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_old_protocols_with_other_flags_say_so_too(tmp_path: Path, protocol: int) -> None:
    for flags in ([np.bool_(flag) for flag in SAME], SAME):
        content = pickle.dumps(([bytearray(image) for image in IMAGES], flags), protocol=protocol)
        with pytest.raises(ValueError, match="write it again"):
            InsightFaceBin(write(tmp_path, content))


def test_a_hostile_file_is_not_said_to_be_rewritable(tmp_path: Path) -> None:
    for content in (pickle.dumps(Evil(tmp_path / "made")), b"cposix\nsystem\n(U\x02lstR."):
        with pytest.raises(ValueError, match="pickle: at byte") as caught:
            InsightFaceBin(write(tmp_path, content))
        assert "write it again" not in str(caught.value)

"""LFW's file formats, on small files and on the real ones where they are."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facemin.datasets import LFW, Pair, PhotoFile, genuine_pairs, landmarks, lfw_pairs

PAIRS = """2\t1
Abel_Pacheco\t1\t4
Abdel_Madi_Shabneh\t1\tDean_Barker\t1
Zico\t2\t3
Jean-Pierre_O'Neal\t12\tZico\t1
"""


def test_pairs_in_the_official_format(tmp_path: Path) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text(PAIRS)
    pairs = lfw_pairs(path)
    assert pairs == [
        Pair("Abel_Pacheco", 1, "Abel_Pacheco", 4, True),
        Pair("Abdel_Madi_Shabneh", 1, "Dean_Barker", 1, False),
        Pair("Zico", 2, "Zico", 3, True),
        Pair("Jean-Pierre_O'Neal", 12, "Zico", 1, False),
    ]
    assert pairs[3].path_a == "Jean-Pierre_O'Neal/Jean-Pierre_O'Neal_0012.jpg"
    assert pairs[3].path_b == "Zico/Zico_0001.jpg"


def test_the_development_list_has_one_fold(tmp_path: Path) -> None:
    path = tmp_path / "pairsDevTrain.txt"
    path.write_text("2\nA 1 2\nB 1 2\nA 1 B 1\nA 2 B 2\n")
    assert [pair.same for pair in lfw_pairs(path)] == [True, True, False, False]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2\t1\n", "two\t1\n", "line 1: expected '<folds>"),
        ("2\t1\n", "0\t1\n", "line 1"),
        ("2\t1\n", "3\t1\n", "expected 6 lines after the first, got 4"),
        ("Abel_Pacheco\t1\t4", "Abel_Pacheco\t1", "line 2: expected a genuine pair"),
        ("Abel_Pacheco\t1\t4", "Abel_Pacheco\t0\t4", "line 2"),
        ("Abel_Pacheco\t1\t4", "Abel_Pacheco\t-1\t4", "line 2"),
        ("Abel_Pacheco\t1\t4", "../secret\t1\t4", "line 2"),
        ("Dean_Barker\t1", "Dean_Barker", "line 3: expected an impostor pair"),
        ("Dean_Barker", "Dean/Barker", "line 3"),
        ("Dean_Barker", "Abdel_Madi_Shabneh", "line 3: expected two people"),
        ("Zico\t2\t3\n", "", "expected 4 lines after the first, got 3"),
        ("Zico\t2\t3\n", "\n", "line 4"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text(PAIRS.replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        lfw_pairs(path)


@given(st.binary(max_size=80) | st.integers(0, len(PAIRS) - 2).map(lambda end: PAIRS[:end].encode()))
@settings(max_examples=200, deadline=None)
def test_any_other_file_is_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any-pairs.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="any-pairs"):
        lfw_pairs(path)


def test_genuine_pairs_are_of_distinct_people() -> None:
    pairs = [Pair(name, i, name, i + 1, True) for name in "ABCD" for i in (1, 2, 3)]
    pairs.insert(0, Pair("A", 1, "B", 1, False))
    assert genuine_pairs(pairs, 2) == [Pair("A", 1, "A", 2, True), Pair("B", 1, "B", 2, True)]
    drawn = genuine_pairs(pairs, 4, seed=1)
    assert {pair.name_a for pair in drawn} == set("ABCD")
    assert drawn == genuine_pairs(pairs, 4, seed=1)
    assert len({tuple(genuine_pairs(pairs, 4, seed=seed)) for seed in range(5)}) > 1
    with pytest.raises(ValueError, match=r"count: expected 0\.\.4"):
        genuine_pairs(pairs, 5)


def test_photos_must_be_named_after_their_folder(tmp_path: Path) -> None:
    (tmp_path / "A_B").mkdir()
    (tmp_path / "A_B" / "A_B_0001.jpg").touch()
    assert list(LFW(tmp_path)) == [PhotoFile("A_B/A_B_0001.jpg", "A_B")]
    (tmp_path / "A_B" / "C_0001.jpg").touch()
    with pytest.raises(ValueError, match=r"C_0001\.jpg: expected a name like A_B_0001"):
        list(LFW(tmp_path))
    with pytest.raises(ValueError, match="expected a folder"):
        LFW(tmp_path / "missing")


NAMES = np.array(["A/A_0001.jpg", "B/B_0001.jpg"])
POINTS = np.arange(20, dtype=np.float64).reshape(2, 5, 2)


def test_landmarks_by_name(tmp_path: Path) -> None:
    np.savez(tmp_path / "points.npz", names=NAMES, pts=POINTS)
    found = landmarks(tmp_path / "points.npz")
    assert list(found) == NAMES.tolist()
    assert found["B/B_0001.jpg"].dtype == torch.float32
    assert found["B/B_0001.jpg"].tolist() == POINTS[1].tolist()


@pytest.mark.parametrize(
    ("names", "points", "message"),
    [
        (NAMES, POINTS[:1], r"expected pts \(2, 5, 2\)"),
        (NAMES, POINTS.astype(int), "floating"),
        (NAMES, POINTS * np.nan, "finite"),
        (NAMES[:, None], POINTS, "names as text"),
        (np.arange(2), POINTS, "names as text"),
        (NAMES[[0, 0]], POINTS, "each name once"),
        (NAMES.astype(object), POINTS, "Object arrays cannot be loaded"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, names: np.ndarray, points: np.ndarray, message: str) -> None:
    np.savez(tmp_path / "points.npz", allow_pickle=True, names=names, pts=points)
    with pytest.raises(ValueError, match=message):
        landmarks(tmp_path / "points.npz")


def test_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "points.npz"
    with pytest.raises(ValueError, match=r"points\.npz"):
        landmarks(path)
    for content in (b"", b"PK\x03\x04", pickle.dumps([1]), b"\x93NUMPY\x01\x00"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"points\.npz"):
            landmarks(path)
    np.save(tmp_path / "one.npy", POINTS)
    with pytest.raises(ValueError, match=r"one\.npy"):
        landmarks(tmp_path / "one.npy")
    np.savez(path, names=NAMES)
    with pytest.raises(ValueError, match="pts"):
        landmarks(path)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_cut_off_archive_is_refused(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.npz"
    np.savez(path, names=NAMES, pts=POINTS)
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(ValueError, match="cut"):
        landmarks(path)


def test_the_real_files_fit_together(shared: Path) -> None:
    photos = list(LFW(shared / "data" / "lfw"))
    assert len(photos) == 13_233
    assert len({photo.identity for photo in photos}) == 5_749
    assert photos == sorted(photos, key=lambda photo: (photo.identity, photo.path))
    paths = {photo.path for photo in photos}
    pairs = lfw_pairs(shared / "data" / "lfw_pairs.txt")
    assert [sum(pair.same for pair in pairs[at : at + 300]) for at in range(0, 6000, 300)] == [300, 0] * 10
    assert {path for pair in pairs for path in (pair.path_a, pair.path_b)} <= paths
    assert len(genuine_pairs(pairs, 1000)) == 1000
    points = landmarks(shared / "data" / "lfw_landmarks.npz")
    assert points.keys() == paths
    eyes = torch.stack(list(points.values()))[:, :2]
    assert float((eyes[:, 1, 0] > eyes[:, 0, 0]).float().mean()) > 0.999


def test_a_byte_order_mark_is_no_part_of_a_list(tmp_path: Path) -> None:
    """As Windows' editors write it."""
    plain, marked = tmp_path / "plain.txt", tmp_path / "marked.txt"
    text = "1\t1\nAnna\t1\t2\nAnna\t1\tBert\t3\n"
    plain.write_bytes(text.encode())
    marked.write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    assert lfw_pairs(marked) == lfw_pairs(plain)

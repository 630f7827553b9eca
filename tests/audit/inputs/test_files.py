"""Protected images find their photos by the names that `facemin protect` gives."""

import json
from pathlib import Path

import pytest

from facemin.audit.inputs.files import list_files, match, people_of


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def paired(root: Path, *inputs: str) -> list[tuple[str, str, int, str | None]]:
    pairs, _ = match(list_files([root / name for name in inputs]))
    return [(pair.photo.place, pair.protected.name, pair.number, pair.person) for pair in pairs]


def test_by_place_and_by_face(tmp_path: Path) -> None:
    make(tmp_path, "photos/a.jpg", "photos/deep/b.png", "photos/notes.txt")
    make(tmp_path, "out/a.protected.png", "out/a.2.protected.png", "out/deep/b.protected.png", "out/a.pasted.png")
    assert paired(tmp_path, "photos", "out") == [
        ("a.jpg", "a.2.protected.png", 2, None),
        ("a.jpg", "a.protected.png", 1, None),
        ("deep/b.png", "b.protected.png", 1, None),
    ]


def test_a_photo_named_like_a_second_face_is_its_own(tmp_path: Path) -> None:
    make(tmp_path, "in/a.jpg", "in/a.2.jpg", "out/a.2.protected.png")
    assert paired(tmp_path, "in", "out") == [("a.2.jpg", "a.2.protected.png", 1, None)]


def test_files_by_themselves_and_a_folder_of_both(tmp_path: Path) -> None:
    make(tmp_path, "x/me.jpg", "y/me.protected.png", "z/b.jpg", "z/b.protected.png")
    assert paired(tmp_path, "x/me.jpg", "y/me.protected.png") == [("me.jpg", "me.protected.png", 1, None)]
    assert paired(tmp_path, "z") == [("b.jpg", "b.protected.png", 1, None)]


def test_by_name_where_only_one_has_it(tmp_path: Path) -> None:
    make(tmp_path, "in/ann/1.jpg", "in/bob/2.jpg", "in/bob/1.jpg", "out/2.protected.png", "out/1.protected.png")
    pairs, unpaired = match(list_files([tmp_path / "in", tmp_path / "out"]))
    assert [pair.photo.place for pair in pairs] == ["bob/2.jpg"]
    assert len(unpaired) == 1
    assert unpaired[0].endswith("1.protected.png: expected a photo of that name among the inputs, found none")


def test_the_record_decides(tmp_path: Path) -> None:
    make(tmp_path, "in/one.jpg", "in/two.jpg", "out/one.protected.png", "out/one.2.protected.png")
    record = {"source": {"path": str((tmp_path / "in/two.jpg").resolve())}, "faces": [{"points": 1}, {"points": 2}]}
    (tmp_path / "out/one.protected.json").write_text(json.dumps(record))
    pairs, _ = match(list_files([tmp_path / "in", tmp_path / "out"]))
    assert [(pair.photo.place, pair.number, pair.face()) for pair in pairs] == [
        ("two.jpg", 2, {"points": 2}),
        ("two.jpg", 1, {"points": 1}),
    ]


def test_folders_are_people_only_where_every_photo_lies_in_one(tmp_path: Path) -> None:
    make(tmp_path, "lfw/Ann/1.jpg", "lfw/Ann/2.jpg", "lfw/Bob/1.jpg")
    assert people_of(list_files([tmp_path / "lfw"]).photos) == {
        "Ann/1.jpg": "Ann",
        "Ann/2.jpg": "Ann",
        "Bob/1.jpg": "Bob",
    }
    make(tmp_path, "lfw/loose.jpg")
    assert people_of(list_files([tmp_path / "lfw"]).photos) is None
    make(tmp_path, "one/Ann/1.jpg")
    assert people_of(list_files([tmp_path / "one"]).photos) is None


def test_refuses_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothere: expected a photo or a folder, found nothing there"):
        list_files([tmp_path / "nothere"])
    make(tmp_path, "a.protected.png")
    with pytest.raises(ValueError, match="found no photo"):
        list_files([tmp_path])

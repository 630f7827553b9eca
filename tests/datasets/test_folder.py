"""A folder per person."""

from pathlib import Path

import pytest

from facemin.datasets import Folder, PhotoFile


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def test_photos_come_sorted_with_their_person(tmp_path: Path) -> None:
    write(tmp_path, "Zoe/2.png", "Zoe/10.JPG", "Ann Lee/a.jpeg", "Ann Lee/deeper/x.jpg", "beside.jpg")
    write(tmp_path, "Ann Lee/notes.txt", "Ann Lee/.hidden.jpg", ".git/x.jpg")
    assert list(Folder(tmp_path)) == [
        PhotoFile("Ann Lee/a.jpeg", "Ann Lee"),
        PhotoFile("Zoe/10.JPG", "Zoe"),
        PhotoFile("Zoe/2.png", "Zoe"),
    ]
    assert "consent" in Folder.licence


def test_nothing_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"missing: expected a folder"):
        Folder(tmp_path / "missing")
    write(tmp_path, "a/readme.txt")
    with pytest.raises(ValueError, match="expected photos in one folder per person"):
        list(Folder(tmp_path))

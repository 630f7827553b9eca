"""Folders as they are: links, loops, and what is no photo."""

import os
from pathlib import Path

import pytest

from facemin.image import SUFFIXES, describe, walk
from tests.pictures import forbid_listing

APPLE = b"\0\5\x16\7\0\2\0\0"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("a/1.jpg", "b.MPO", "b.txt", "video.mov", "2.mov", "._b.jpg", "._true.jpg"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(APPLE if name == "._b.jpg" else b"\xff\xd8\xff")
    return tmp_path / "in"


def places(root: Path, **options: object) -> list[str]:
    return [place.as_posix() for _, place in walk(root, **options).photos]  # type: ignore[arg-type]


def test_photos_and_what_else_there_is(root: Path) -> None:
    found = walk(root)
    assert [place.as_posix() for _, place in found.photos] == ["._true.jpg", "a/1.jpg", "b.MPO"]
    assert describe(found.skipped) == [
        "3 files of no known kind: 2 .mov, 1 .txt",
        "1 AppleDouble file of macOS, no photo: 1 .jpg",
    ]


def test_a_loop_of_links_ends(root: Path) -> None:
    (root / "a" / "up").symlink_to(root, target_is_directory=True)
    (root / "a" / "self").symlink_to(root / "a", target_is_directory=True)
    found = walk(root)
    assert len(found.photos) == 3
    assert {(one.path.name, one.kind) for one in found.skipped if one.kind == "twice"} == {
        ("up", "twice"),
        ("self", "twice"),
    }
    assert f"{root / 'a' / 'up'}: link to a folder that was walked already" in describe(found.skipped)


def test_a_linked_folder_is_followed_once(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "c.png").touch()
    (outside / "deep" / "back").symlink_to(root, target_is_directory=True)
    for name in ("first", "second"):
        (root / name).symlink_to(outside, target_is_directory=True)
    assert places(root) == ["._true.jpg", "a/1.jpg", "b.MPO", "first/deep/c.png"]
    assert sorted(one.path.name for one in walk(root).skipped if one.kind == "twice") == ["back", "second"]


def test_a_folder_keeps_its_place_beside_a_link_to_it(root: Path) -> None:
    (root / "0").symlink_to(root / "a", target_is_directory=True)
    assert "a/1.jpg" in places(root)
    assert not [place for place in places(root) if place.startswith("0/")]


def test_a_linked_photo_is_a_photo_and_a_dangling_link_is_said(root: Path) -> None:
    (root / "linked.jpg").symlink_to(root / "a" / "1.jpg")
    (root / "gone.jpg").symlink_to(root / "nothing.jpg")
    (root / "gone").symlink_to(root / "nowhere", target_is_directory=True)
    (root / "round.jpg").symlink_to(root / "round.jpg")
    found = walk(root)
    assert "linked.jpg" in [path.name for path, _ in found.photos]
    assert sorted(one.path.name for one in found.skipped if one.kind == "dangling") == ["gone", "gone.jpg", "round.jpg"]
    assert f"{root / 'gone.jpg'}: link to nothing" in describe(found.skipped)


def test_results_are_passed_over_wherever_they_are_met(root: Path, tmp_path: Path) -> None:
    out = root / "out"
    out.mkdir()
    (out / "x.jpg").touch()
    (root / "to-out").symlink_to(out, target_is_directory=True)
    (root / "one.jpg").symlink_to(out / "x.jpg")
    assert places(root, out=out) == ["._true.jpg", "a/1.jpg", "b.MPO"]
    assert "x.jpg" in places(out, out=out)
    assert "x.jpg" in places(out, out=root)
    (root / "b.protected.png").touch()
    found = walk(root, out=out, ours=(".protected.png",))
    assert [one.path.name for one in found.skipped if one.kind == "result"] == ["b.protected.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(root: Path) -> None:
    os.mkfifo(root / "pipe.jpg")
    assert [one.path.name for one in walk(root).skipped if one.kind == "special"] == ["pipe.jpg"]


def test_a_folder_that_cannot_be_listed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_listing(monkeypatch, "a")
    (error,) = walk(root).unread
    assert error.filename == str(root / "a")


def test_suffixes_of_all_formats_are_photos() -> None:
    assert {".jpg", ".jpeg", ".png", ".webp", ".heic", ".avif", ".mpo"} <= SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUFFIXES)

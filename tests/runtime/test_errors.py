"""Errors have kinds, and say what happened in words."""

import errno
from pathlib import Path

import pytest

import facemin
from facemin.image import decode
from facemin.runtime.errors import REFUSALS, FaceminError, InvalidKey, KeyExpired, in_words, told_as, without_name
from facemin.runtime.files import write_atomically


def test_every_kind_is_a_value_error_that_the_package_names() -> None:
    kinds = (
        facemin.InvalidPhoto,
        facemin.NoFace,
        facemin.InvalidKey,
        facemin.KeyExpired,
        facemin.KeyChanged,
        facemin.InvalidModel,
    )
    assert all(issubclass(kind, facemin.FaceminError) for kind in kinds)
    assert issubclass(facemin.FaceminError, ValueError)
    assert issubclass(facemin.KeyExpired, facemin.InvalidKey)
    assert issubclass(facemin.NoFace, facemin.InvalidPhoto)


def test_files_that_are_not_what_they_should_be_are_told_by_kind(tmp_path: Path) -> None:
    file = tmp_path / "x.onnx"
    file.write_bytes(b"nothing")
    with pytest.raises(facemin.InvalidKey, match=r"x\.onnx"):
        facemin.Key.load(file)
    with pytest.raises(facemin.InvalidModel, match=r"x\.onnx"):
        facemin.load_recogniser(file)
    with pytest.raises(facemin.InvalidPhoto, match=r"x\.onnx"):
        decode(file)


def test_a_kind_is_given_once() -> None:
    with pytest.raises(KeyExpired), told_as(InvalidKey):
        raise KeyExpired("ended")
    with pytest.raises(InvalidKey, match="wrong") as caught, told_as(InvalidKey):
        raise ValueError("wrong")
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(OSError, match="disk"), told_as(FaceminError):
        raise OSError("disk")


@pytest.mark.parametrize("number", sorted(REFUSALS))
def test_no_error_number_is_shown(number: int) -> None:
    said = in_words(OSError(number, "Raw text", "a/b.png"))
    assert said == f"a/b.png: {REFUSALS[number]}"
    assert "Errno" not in in_words(OSError(number, "Raw text"))


def test_what_has_no_number_says_what_it_says() -> None:
    assert in_words(ValueError("key: expected one")) == "key: expected one"
    assert in_words(OSError("refused by the provider")) == "refused by the provider"
    assert in_words(RuntimeError()) == "RuntimeError"
    assert in_words(OSError(errno.EDOM, "Odd Thing", "f")) == "f: odd thing"


def test_a_failed_write_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder") as caught:
        write_atomically(tmp_path / "folder", b"x")
    assert in_words(caught.value).startswith(f"{tmp_path / 'folder'}: ")
    assert ".tmp" not in in_words(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_name_is_not_said_twice() -> None:
    assert without_name("a.jpg: expected a photo", "a.jpg") == "expected a photo"
    assert without_name("a.jpg is none", "a.jpg") == "a.jpg is none"

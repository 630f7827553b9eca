"""Where facemin's own data lies, on each platform."""

import sys
from pathlib import Path

import pytest

from facemin.runtime.home import home


def test_home_follows_the_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FACEMIN_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.delenv("FACEMIN_HOME")
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", "/data/ann")
    assert home() == Path("/data/ann/facemin")
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_DATA_HOME", ignored)
        assert home() == Path("/home/ann/.local/share/facemin")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert home() == Path("/home/ann/Library/Application Support/facemin")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    assert home() == Path("/local/facemin")


@pytest.mark.parametrize(("chosen", "got"), [(None, "no home folder of this user"), ("~nobody-here/x", "~nobody-here")])
def test_a_user_without_a_home_folder_is_told_to_name_one(
    monkeypatch: pytest.MonkeyPatch, chosen: str | None, got: str
) -> None:
    def absent(self: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(Path, "home", classmethod(absent))
    if chosen is None:
        monkeypatch.delenv("FACEMIN_HOME")
    else:
        monkeypatch.setenv("FACEMIN_HOME", chosen)
    with pytest.raises(ValueError, match=rf"\$FACEMIN_HOME: expected a folder .*, got {got}"):
        home()

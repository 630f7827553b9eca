"""Data folder of this machine."""

import os
import sys
from pathlib import Path


def home() -> Path:
    """The folder of facemin's own data: $FACEMIN_HOME, else `facemin` in the platform's place for user data.

    Source: XDG Base Directory Specification 0.8 (a relative $XDG_DATA_HOME is to be ignored).

    Raises:
        ValueError: neither that variable nor the system names a folder of this user.
    """
    try:
        return _folder()
    except RuntimeError:
        # a user without an entry in the system's list, as containers run them
        given = os.environ.get("FACEMIN_HOME") or "no home folder of this user"
        raise ValueError(f"$FACEMIN_HOME: expected a folder for facemin's data, got {given}") from None


def _folder() -> Path:
    if chosen := os.environ.get("FACEMIN_HOME"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "facemin"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "facemin"
    data = Path(os.environ.get("XDG_DATA_HOME", ""))
    return (data if data.is_absolute() else Path.home() / ".local" / "share") / "facemin"

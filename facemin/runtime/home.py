"""Data folder of this machine."""

import os
import sys
from pathlib import Path


def home() -> Path:
    """The folder of facemin's own data: $FACEMIN_HOME, else `facemin` in the platform's place for user data.

    Source: XDG Base Directory Specification 0.8 (a relative $XDG_DATA_HOME is to be ignored).
    """
    if chosen := os.environ.get("FACEMIN_HOME"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "facemin"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "facemin"
    data = Path(os.environ.get("XDG_DATA_HOME", ""))
    return (data if data.is_absolute() else Path.home() / ".local" / "share") / "facemin"

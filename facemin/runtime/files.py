"""Writing files so that a crash, a full disk or a second writer never leaves half a file."""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader sees the old file or the whole new one, never a part.

    Missing parent folders are made. A symbolic link at `path` is replaced, not followed.

    Args:
        path: file to make or to replace; gets the permissions the umask gives a new file.
        data: its whole content.

    Raises:
        OSError: as Python has it (disk full, no permission, `path` is a folder); the old file, if any, is
            untouched then, and no temporary file stays behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, because a rename is atomic only within one file system; under a name of its own
    # length, because `path` may already have the longest name the file system takes.
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        # Not tempfile.mkstemp: its 0600 would hide a result from everybody the umask lets read it.
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        # the caller knows this file, not the one on the way to it
        error.filename, error.filename2 = str(path), None
        raise
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def append_json(path: Path, values: Mapping[str, Any]) -> None:
    """Append one line of JSON; it is with the operating system when this returns. Missing parent folders are made.

    Raises:
        OSError: as Python has it; a line may then be cut off.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(values) + "\n")

"""Durable files: whole after a crash, a full disk or a second writer, or not there."""

import contextlib
import hashlib
import json
import os
import platform
import re
import secrets
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any

PRIVATE = 0o600
"""Mode of a file that only its owner may read."""
_LONG_AGO = 86_400.0
"""Seconds after which nobody writes a file any more."""


def write_atomically(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Write `data` to `path` so that a reader sees the old file or the whole new one, never a part.

    Missing parent folders are made. A symbolic link at `path` is replaced, not followed.

    Args:
        path: file to make or to replace.
        data: its whole content.
        mode: permissions before the umask takes some away; `PRIVATE` from its first byte on, for secrets.

    Raises:
        OSError: as Python has it (disk full, no permission, `path` is a folder); the old file, if any, is
            untouched then, and no temporary file stays behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, because a rename is atomic only within one file system; under a name of its own
    # length, because `path` may already have the longest name the file system takes.
    temporary = path.with_name(f"{_temporary(os.getpid())}{secrets.token_hex(8)}.tmp")
    try:
        # Not tempfile.mkstemp: its 0600 would hide a result from everybody the umask lets read it.
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        # the caller knows this file, not the one on the way to it
        if error.errno is not None:
            error.filename, error.filename2 = str(path), None
        raise
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def all_or_none() -> Iterator[list[Path]]:
    """A block that writes files which belong together: those that it has noted go where it does not come to its end."""
    written: list[Path] = []
    try:
        yield written
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def read_at_most(source: Path | bytes, most: int, *, expected: str = "expected") -> bytes:
    """Read a file of at most so many bytes; of what has no size, as a device, no more than they are read.

    Args:
        source: the file, or what was read of it, which comes back.
        most: bytes that are accepted.
        expected: how the refusal begins.

    Raises:
        ValueError: it is larger.
        OSError: as Python has it.
    """
    if isinstance(source, bytes):
        if len(source) > most:
            raise ValueError(f"{expected} at most {most} bytes, got {len(source)}")
        return source
    with source.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        data = b"" if size > most else file.read((size or most) + 1)
    if size > most or len(data) > most:
        raise ValueError(f"{expected} at most {most} bytes, got {size or 'more'}")
    return data


def remove_leftovers(folders: Iterable[Path], process: int) -> None:
    """Remove what a process of this machine was writing into folders when it was killed.

    Raises:
        OSError: as Python has it.
    """
    for folder in set(folders):
        for path in folder.glob(f"{_temporary(process)}*.tmp"):
            path.unlink(missing_ok=True)


def remove_abandoned(folders: Iterable[Path]) -> int:
    """Remove what processes that are no more were writing into folders when they were killed.

    A process of another machine cannot be asked for: what it wrote is removed a day after it was begun.

    Returns:
        How many files were removed.

    Raises:
        OSError: as Python has it.
    """
    removed = 0
    for folder in set(folders):
        for path in folder.glob(".*.tmp"):
            named = _UNFINISHED.fullmatch(path.name)
            if named is not None and _is_abandoned(path, int(named["process"], 16), named["machine"]):
                path.unlink(missing_ok=True)
                removed += 1
    return removed


def _temporary(process: int) -> str:
    return f".{process:x}-{_machine()}-"


@cache
def _machine() -> str:
    """A short name of this machine, in hexadecimal: folders may be shared."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


_UNFINISHED = re.compile(r"\.(?P<process>[0-9a-f]{1,12})-(?P<machine>[0-9a-f]{8})-[0-9a-f]{16}\.tmp")


def _is_abandoned(path: Path, process: int, machine: str) -> bool:
    try:
        if time.time() - path.stat().st_mtime > _LONG_AGO:
            return True
        # elsewhere than on POSIX a signal, 0 too, may end the process
        if machine != _machine() or os.name != "posix":
            return False
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:
        return False
    return False


def append_json(path: Path, values: Mapping[str, Any]) -> None:
    """Append one line of JSON; it is with the operating system when this returns. Missing parent folders are made.

    Raises:
        OSError: as Python has it; a line may then be cut off.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(values) + "\n")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path` alone among processes and threads; others wait. It stays behind, empty.

    Missing parent folders are made, for their owner only. The system lets go of the lock of a process that ended.

    Raises:
        OSError: as Python has it.
    """
    private_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), PRIVATE)
    try:
        _lock(descriptor)
        yield
    finally:
        # closing lets go of it, on Windows too
        os.close(descriptor)


def private_folder(path: Path) -> None:
    """Make a folder that only its owner may enter; one that is there stays as it is.

    Raises:
        OSError: as Python has it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)


def read_private(path: Path) -> bytes:
    """Read a file that nobody but its owner may read, in a folder that nobody else may write in.

    Raises:
        ValueError: others may read or change it, or it belongs to somebody else; says how to put that right.
        OSError: as Python has it (FileNotFoundError where there is none).
    """
    with path.open("rb") as file:
        if os.name == "posix":
            _check_private(path, file)
        return file.read()


def _check_private(path: Path, file: IO[bytes]) -> None:
    # of the open file, so that nothing can be put in its place between the check and the reading
    status = os.fstat(file.fileno())
    if status.st_uid != os.geteuid():
        raise ValueError(f"{path}: expected a file of your own, got one of user {status.st_uid}; copy it as yourself")
    if status.st_mode & 0o077:
        raise ValueError(
            f"{path}: expected a file that only you may read (mode 0600), got {status.st_mode & 0o777:04o}; "
            f"run: chmod 600 {path}. Whoever read it before that knows what it holds"
        )
    folder = path.parent.stat()
    if folder.st_mode & 0o022 and not folder.st_mode & 0o1000:
        raise ValueError(
            f"{path.parent}: expected a folder that only you may write in, got mode {folder.st_mode & 0o777:04o}: "
            f"others could exchange {path.name}; run: chmod 700 {path.parent}"
        )


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX)

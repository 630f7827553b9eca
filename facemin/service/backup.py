"""Back-up and restore of a provider's home with its SQLite database."""

from __future__ import annotations

import io
import os
import secrets
import sqlite3
import tarfile
import tempfile
from contextlib import closing
from pathlib import Path

from facemin.files import write_atomically
from facemin.service.database import Database
from facemin.service.errors import ServiceError
from facemin.service.settings import DATABASE, MASTER, SETTINGS, SIGNING, THRESHOLDS, read_settings

SECRET = (MASTER, SIGNING)
MOST_BYTES = 64 << 30
"""Of a file in a back-up."""


def back_up(folder: Path, out: Path, *, with_secrets: bool) -> None:
    """Write a provider's database and settings to one file, while the service runs.

    People who are deleted later stay in the file: delete old back-ups in the same rhythm as people may ask for that.

    Args:
        folder: the provider's home.
        out: a `.tar` file to write; replaced as a whole.
        with_secrets: put the master key and the signing key in as well. Without them the file's templates cannot be
            read, so keep those two elsewhere.

    Raises:
        ValueError: no provider there, or one on PostgreSQL (use pg_dump).
    """
    settings = read_settings(folder)
    if settings.database is not None:
        raise ValueError(
            f"{folder}: expected a provider on SQLite, got one on another database; back it up with pg_dump"
        )
    names = [SETTINGS, THRESHOLDS, *(SECRET if with_secrets else ())]
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
            copy = Path(scratch) / DATABASE
            # SQLite's own back-up: one state of the database, whoever writes meanwhile
            with closing(sqlite3.connect(folder / DATABASE)) as source, closing(sqlite3.connect(copy)) as target:
                source.backup(target)
            with temporary.open("xb") as file:
                with tarfile.open(fileobj=file, mode="w") as tar:
                    tar.add(copy, DATABASE)
                    for name in names:
                        if (folder / name).is_file():
                            tar.add(folder / name, name)
                file.flush()
                os.fsync(file.fileno())
        temporary.chmod(0o600)
        temporary.replace(out)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def restore(file: Path, folder: Path) -> list[str]:
    """Make a provider's home from a back-up.

    Args:
        file: what `back_up` wrote.
        folder: must not hold a provider.

    Returns:
        Names of the secrets that were not in the back-up and have to be put into the folder.

    Raises:
        ValueError: no back-up, a damaged one, or the folder holds a provider.
    """
    if (folder / SETTINGS).exists():
        raise ValueError(f"{folder}: expected a folder without a provider, found {SETTINGS}")
    found = _read(file)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    path = folder / DATABASE
    write_atomically(path, found[DATABASE])
    path.chmod(0o600)
    _check(path, file)
    for name in (THRESHOLDS, *SECRET, SETTINGS):
        if name in found:
            write_atomically(folder / name, found[name])
            (folder / name).chmod(0o600)
    read_settings(folder)
    return [name for name in SECRET if not (folder / name).exists()]


def _read(file: Path) -> dict[str, bytes]:
    known = {DATABASE, SETTINGS, THRESHOLDS, *SECRET}
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(file, "r:") as tar:
            for member in tar:
                # only these names, whatever else the file holds; nothing is extracted by its own path
                if member.name not in known or not member.isfile() or member.size > MOST_BYTES:
                    raise ValueError(f"an entry {member.name!r:.80}")
                content = tar.extractfile(member)
                found[member.name] = (content or io.BytesIO()).read()
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise ValueError(f"{file}: expected a back-up of a provider, got {error}") from None
    missing = {DATABASE, SETTINGS, THRESHOLDS} - set(found)
    if missing:
        raise ValueError(f"{file}: expected a back-up of a provider, got one without {', '.join(sorted(missing))}")
    return found


def _check(path: Path, file: Path) -> None:
    try:
        database = Database(f"sqlite:///{path}")
        wrong = database.check()
        database.close()
    except ServiceError as error:
        wrong = [error.message]
    if wrong:
        path.unlink()
        raise ValueError(f"{file}: expected a whole database, got: {wrong[0]}")

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
from urllib.parse import quote

from facemin.runtime.files import write_atomically
from facemin.service.api.errors import ServiceError
from facemin.service.settings import DATABASE, MASTER, PRIVATE, SETTINGS, SIGNING, THRESHOLDS, read_settings
from facemin.service.storage.crypto import Secrets
from facemin.service.storage.database import Database
from facemin.service.storage.tables import meta, sessions

SECRET = (MASTER, SIGNING)
MOST_BYTES = 64 << 30
"""Of a file in a back-up."""


def back_up(folder: Path, out: Path, *, with_secrets: bool) -> tuple[str, ...]:
    """Write a provider's database and settings to one file, while the service runs.

    People who are deleted later stay in the file: delete old back-ups in the same rhythm as people may ask for that.

    Args:
        folder: the provider's home.
        out: a `.tar` file to write; replaced as a whole.
        with_secrets: put the master key and the signing key in as well. Without them the file's templates cannot be
            read, so keep those two elsewhere.

    Returns:
        Names of what was written into it.

    Raises:
        ValueError: no provider there, one on PostgreSQL (use pg_dump), a database that is missing or damaged, or a
            secret that is nowhere; `out` is as it was then.
    """
    settings = read_settings(folder)
    if settings.database is not None:
        raise ValueError(
            f"{folder}: expected a provider on SQLite, got one on another database; back it up with pg_dump"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
            copy = Path(scratch) / DATABASE
            # SQLite's own back-up: one state of the database, whoever writes meanwhile; read only, or a missing
            # database would be made, and an empty copy take the place of a good one
            source_url = f"file:{quote(str((folder / DATABASE).absolute()))}?mode=ro"
            try:
                with (
                    closing(sqlite3.connect(source_url, uri=True)) as source,
                    closing(sqlite3.connect(copy)) as target,
                ):
                    source.backup(target)
            except sqlite3.Error as error:
                raise ValueError(f"{folder / DATABASE}: expected a provider's database, got: {error}") from None
            if wrong := _wrong(copy):
                raise ValueError(f"{folder / DATABASE}: expected a whole database to back up, got: {wrong}")
            with closing(sqlite3.connect(copy)) as target, target:
                # they are over within the hour, and none may come to life again
                target.execute(f"DELETE FROM {sessions.name}")  # noqa: S608 - a constant
            kept = {name: (folder / name).read_bytes() for name in (SETTINGS, THRESHOLDS)}
            if with_secrets:
                kept |= _secrets_of(folder)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                with tarfile.open(fileobj=file, mode="w") as tar:
                    tar.add(copy, DATABASE)
                    for name, data in kept.items():
                        entry = tarfile.TarInfo(name)
                        entry.size, entry.mode = len(data), 0o600
                        tar.addfile(entry, io.BytesIO(data))
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(out)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return (DATABASE, *kept)


def restore(file: Path, folder: Path) -> list[str]:
    """Make a provider's home from a back-up.

    Args:
        file: what `back_up` wrote.
        folder: must not hold a provider, nor anything that the back-up would replace.

    Returns:
        Names of the secrets that were not in the back-up and have to be put into the folder.

    Raises:
        ValueError: no back-up, a damaged one, or the folder holds a part of a provider; nothing was changed then.
    """
    found = _read(file)
    # a write-ahead log that was left behind would be played onto the database that is put back
    leftovers = [f"{DATABASE}{end}" for end in ("-wal", "-shm", "-journal")]
    for name in (*leftovers, DATABASE, SETTINGS, *found):
        if (folder / name).exists():
            raise ValueError(f"{folder}: expected a folder without a provider, found {name}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        path = Path(scratch) / DATABASE
        write_atomically(path, found[DATABASE], mode=PRIVATE)
        if wrong := _wrong(path):
            raise ValueError(f"{file}: expected a whole database, got: {wrong}")
        write_atomically(Path(scratch) / SETTINGS, found[SETTINGS])
        read_settings(Path(scratch))
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        path.replace(folder / DATABASE)
    # last the settings, so that a home with settings is a whole one
    for name in (THRESHOLDS, *SECRET, SETTINGS):
        if name in found:
            write_atomically(folder / name, found[name], mode=PRIVATE)
    return [name for name in SECRET if not (folder / name).exists()]


def _secrets_of(folder: Path) -> dict[str, bytes]:
    """Both secrets, wherever the master key is kept."""
    if not (folder / SIGNING).is_file():
        raise ValueError(f"{folder}: expected {SIGNING} to put into the back-up, found none")
    master = Secrets.load(folder / MASTER).master
    return {MASTER: master.hex().encode() + b"\n", SIGNING: (folder / SIGNING).read_bytes()}


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


def _wrong(path: Path) -> str:
    """What is wrong with a copy of a provider's database; empty where it is whole."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (meta.name,)).fetchall():
                return f"none with the table {meta.name}"
        database = Database(f"sqlite:///{path}")
        try:
            return next(iter(database.check()), "")
        finally:
            database.close()
    except sqlite3.Error as error:
        return str(error)
    except ServiceError as error:
        return error.message

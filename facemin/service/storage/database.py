"""Database access, SQLite or PostgreSQL: transactions that are durable once they return."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DataError, IntegrityError, OperationalError

from facemin.service.api.errors import ServiceError, bad_input
from facemin.service.storage.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}
WAIT_SECONDS = 15
"""How long a writer waits for another one's transaction."""
_WRITES = "facemin_writes"
_LOG = logging.getLogger("facemin.service")


class Database:
    """Transactions on a database whose schema is up to date.

    Args:
        url: `sqlite:///path` or `postgresql://user:password@host/name`.

    Raises:
        ValueError: another kind of URL, or a database of a later version of facemin.
        ServiceError: it cannot be opened, or is damaged (503).
    """

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self.kind = self.engine.dialect.name
        try:
            with self.writing() as connection:
                migrate(connection)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that may write; when the block ends without an error it lies on the disk.

        Raises:
            ServiceError: the database cannot be reached, is full or damaged (503). Nothing was written then.
            IntegrityError: as SQLAlchemy has it, for a row that is there already.
        """
        with _explained(self.kind), self.engine.connect() as plain:
            connection = plain.execution_options(**{_WRITES: True})
            with connection.begin():
                yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database, whoever writes meanwhile.

        Raises:
            ServiceError: as for `writing`.
        """
        with _explained(self.kind), self.engine.connect() as plain:
            connection = plain
            if self.kind == "postgresql":
                connection = plain.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    def ping(self) -> None:
        """Raises ServiceError (503) where the database does not answer."""
        with self.reading() as connection:
            connection.execute(text("SELECT 1"))

    def check(self) -> list[str]:
        """What SQLite's own integrity check finds wrong, in its words; PostgreSQL has its own tools."""
        if self.kind != "sqlite":
            return []
        try:
            with self.reading() as connection:
                found = [str(row[0]) for row in connection.execute(text("PRAGMA integrity_check"))]
                found += [f"foreign key: {tuple(row)}" for row in connection.execute(text("PRAGMA foreign_key_check"))]
        except ServiceError as error:
            # damaged so badly that even the check cannot be run
            return [error.message]
        return [line for line in found if line != "ok"]

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    name = parsed.get_backend_name() if parsed is not None else ""
    if parsed is None or name not in DRIVERS:
        # a URL may hold a password, so it is not repeated
        raise ValueError("database: expected sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME, got another URL")
    parsed = parsed.set(drivername=DRIVERS[name])
    if name == "postgresql":
        return create_engine(parsed, pool_pre_ping=True, pool_size=16, max_overflow=32, hide_parameters=True)
    if parsed.database and parsed.database != ":memory:":
        # SQLite would give it the umask's permissions, and its write-ahead log the same
        with suppress(FileExistsError, FileNotFoundError):
            os.close(os.open(parsed.database, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    engine = create_engine(
        parsed, connect_args={"timeout": WAIT_SECONDS}, pool_size=16, max_overflow=32, hide_parameters=True
    )
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, record: object) -> None:
    del record
    # Python's sqlite3 would begin transactions by its own rules; `_begin_sqlite` does
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # a reader that turned writer could fail in the middle; a writer waits for its turn at the start
    immediate = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


@contextmanager
def _explained(kind: str) -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except DataError as error:
        raise bad_input(f"request: expected values that the {kind} database can hold, got others") from error
    except DatabaseError as error:
        said = next(iter(str(error.orig).strip().splitlines()), type(error).__name__)
        _LOG.error("the %s database: %s", kind, said)
        if kind == "postgresql" and isinstance(error, OperationalError):
            # of a connection it names hosts and users, which callers need not know
            said = "an error, which the log has"
        raise ServiceError(
            503,
            "store_unavailable",
            f"store: expected the {kind} database to answer, got: {said}",
            retry_after=5,
        ) from error

"""Schema migrations, one numbered step after another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import inspect, select, text

from facemin.service.storage.replay import link_old_answers
from facemin.service.storage.tables import (
    answered,
    collections,
    keys_without_files,
    meta,
    metadata,
    protectors,
    sessions,
    templates,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection, Table

_SQLITE_TRIGGERS = tuple(
    f"CREATE TRIGGER audit_no_{verb} BEFORE {verb} ON audit BEGIN "
    "SELECT RAISE(ABORT, 'the audit log is append-only'); END"
    for verb in ("update", "delete")
)
# REPLACE removes the row it collides with, and fires no DELETE trigger for it
_SQLITE_NO_REPLACE = (
    "CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id) BEGIN "
    "SELECT RAISE(ABORT, 'the audit log is append-only'); END"
)
_POSTGRESQL_TRIGGERS = (
    "CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$",
    "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()",
)


def _first(connection: Connection) -> None:
    metadata.create_all(connection)
    triggers = _SQLITE_TRIGGERS if connection.dialect.name == "sqlite" else _POSTGRESQL_TRIGGERS
    for statement in triggers:
        connection.execute(text(statement))


def _second(connection: Connection) -> None:
    """Version 0.2: answers know whom they name, and the audit log withstands INSERT OR REPLACE."""
    answered.create(connection, checkfirst=True)
    link_old_answers(connection)
    if connection.dialect.name == "sqlite":
        connection.execute(text(_SQLITE_NO_REPLACE))


def _third(connection: Connection) -> None:
    """Version 0.3: pseudonyms, which collections that are there allow and do not require."""
    protectors.create(connection, checkfirst=True)
    for table, names in ((collections, ("pseudonyms",)), (templates, ("space", "epoch", "possession"))):
        _add_columns(connection, table, names)


def _fourth(connection: Connection) -> None:
    """Version 0.3: sessions, short-lived tokens for a page."""
    sessions.create(connection, checkfirst=True)


def _fifth(connection: Connection) -> None:
    """Version 0.3: carriers, which no collection takes before it says so."""
    _add_columns(connection, collections, ("carriers",))


def _sixth(connection: Connection) -> None:
    """Version 0.4: sessions end with what they were made for; those of before, of minutes, end here."""
    sessions.drop(connection, checkfirst=True)
    sessions.create(connection)


def _seventh(connection: Connection) -> None:
    """Version 0.4: keys are found without their files."""
    keys_without_files.create(connection, checkfirst=True)


def _add_columns(connection: Connection, table: Table, names: Sequence[str]) -> None:
    """Add those columns of a table that are not there."""
    kind = connection.dialect.type_compiler_instance
    there = {column["name"] for column in inspect(connection).get_columns(table.name)}
    for name in names:
        if name not in there:
            column = table.c[name]
            default = column.server_default.arg  # type: ignore[union-attr]
            words = f"{name} {kind.process(column.type)} NOT NULL DEFAULT '{default}'"
            connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {words}"))


STEPS: tuple[Callable[[Connection], None], ...] = (_first, _second, _third, _fourth, _fifth, _sixth, _seventh)
"""Step n brings a database of version n - 1 to version n. Steps are only ever appended."""


def migrate(connection: Connection, steps: Sequence[Callable[[Connection], None]] = STEPS) -> int:
    """Run the steps that a database has not had, all in the caller's transaction.

    Returns:
        How many were run.

    Raises:
        ValueError: a database of a later version of facemin.
    """
    if connection.dialect.name == "postgresql":
        # several servers may start at once
        connection.execute(text("SELECT pg_advisory_xact_lock(7106351)"))
    version = schema_version(connection)
    if version > len(steps):
        raise ValueError(
            f"database: expected schema version {len(steps)} or lower, got {version}: it was written by a later "
            "version of facemin"
        )
    for step in steps[version:]:
        step(connection)
    if version < len(steps):
        connection.execute(meta.delete().where(meta.c.name == "schema"))
        connection.execute(meta.insert().values(name="schema", value=str(len(steps))))
    return len(steps) - version


def schema_version(connection: Connection) -> int:
    """Number of steps that a database has had; 0 for an empty one."""
    if not inspect(connection).has_table(meta.name):
        return 0
    value = connection.scalar(select(meta.c.value).where(meta.c.name == "schema"))
    return int(value) if value is not None else 0

"""Migrations, and what a database of another version says."""

from contextlib import closing

import pytest
from sqlalchemy import Connection, inspect, text

from facemin.service.provider_keys import ALL_KEYS
from facemin.service.storage.database import Database
from facemin.service.storage.migrations import STEPS, migrate, schema_version
from facemin.service.storage.tables import provider_keys


def add_note(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE tokens ADD COLUMN note TEXT"))


def test_a_new_database_has_every_step_and_is_migrated_once(database: Database, url: str) -> None:
    with database.writing() as connection:
        assert schema_version(connection) == len(STEPS)
        assert migrate(connection) == 0
    again = Database(url)
    again.close()


def test_a_later_step_is_run_once_and_keeps_what_is_there(database: Database) -> None:
    with database.writing() as connection:
        values = "('t', 'n', 'h', '[]', 0)"
        connection.execute(text(f"INSERT INTO tokens (id, name, hash, grants, created) VALUES {values}"))
    for expected in (1, 0):
        with database.writing() as connection:
            assert migrate(connection, (*STEPS, add_note)) == expected
    with database.reading() as connection:
        assert connection.execute(text("SELECT id, note FROM tokens")).all() == [("t", None)]


def test_a_failing_step_leaves_the_database_as_it_was(database: Database) -> None:
    def fails(connection: Connection) -> None:
        add_note(connection)
        raise RuntimeError("no")

    with pytest.raises(RuntimeError), database.writing() as connection:
        migrate(connection, (*STEPS, fails))
    with database.writing() as connection:
        assert schema_version(connection) == len(STEPS)
        assert migrate(connection, (*STEPS, add_note)) == 1


def test_a_database_of_a_later_version_is_refused(database: Database, url: str) -> None:
    with database.writing() as connection:
        migrate(connection, (*STEPS, add_note))
    with pytest.raises(ValueError, match=f"schema version {len(STEPS)} or lower, got {len(STEPS) + 1}"):
        Database(url)


@pytest.mark.parametrize("url", ["mysql://root:secret@localhost/x", "no url", ""])
def test_another_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="sqlite:///PATH") as caught:
        Database(url)
    assert "secret" not in str(caught.value)


def test_a_database_from_before_pseudonyms_allows_them_and_requires_none(database: Database, url: str) -> None:
    columns = {"collections": ("pseudonyms",), "templates": ("space", "epoch", "possession")}
    with database.writing() as connection:
        connection.execute(text("DROP TABLE protectors"))
        for table, names in columns.items():
            for name in names:
                connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {name}"))
        values = "('old', false, 0.001, 0, 0)"
        connection.execute(
            text(f"INSERT INTO collections (name, accept_plain, far, revision, created) VALUES {values}")
        )
        connection.execute(text("UPDATE meta SET value = '2' WHERE name = 'schema'"))
    again = Database(url)
    try:
        with again.writing() as connection:
            assert schema_version(connection) == len(STEPS)
            assert connection.scalar(text("SELECT pseudonyms FROM collections")) == "allowed"
            connection.execute(text("SELECT space, epoch, possession FROM templates"))
            connection.execute(text("SELECT fingerprint, data FROM protectors"))
    finally:
        again.close()


def test_keys_are_found_without_their_files_in_databases_of_before_too(database: Database, url: str) -> None:
    """SQLite reads through a file of megabytes to the columns behind it, where no index has them all."""
    with database.writing() as connection:
        connection.execute(text("DROP INDEX provider_keys_without_files"))
        connection.execute(text("UPDATE meta SET value = '6' WHERE name = 'schema'"))
    with closing(Database(url)) as again, again.reading() as connection:
        indexes = inspect(connection).get_indexes(provider_keys.name)
        assert "provider_keys_without_files" in {index["name"] for index in indexes}
        if connection.dialect.name == "sqlite":
            plan = connection.execute(text(f"EXPLAIN QUERY PLAN {ALL_KEYS.compile(connection)}")).all()
            assert "USING COVERING INDEX provider_keys_without_files" in str(plan)

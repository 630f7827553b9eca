"""Enrolment, search and deletion, on SQLite and on PostgreSQL."""

import threading
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DatabaseError

from facemin.service.api.errors import ServiceError
from facemin.service.storage import audit_log as audit
from facemin.service.storage.crypto import Secrets, TemplateCipher
from facemin.service.storage.database import Database
from facemin.service.storage.search.memory import MemorySearch
from facemin.service.storage.store import TemplateStore
from facemin.service.storage.tables import metadata, persons, removed, templates
from tests.service.cluster import Cluster
from tests.service.conftest import SIZE, Enrol, memory_store, unit_rows


def nearest(store: TemplateStore, row: np.ndarray, count: int = 3, collection: str = "main") -> list[str]:
    with store.database.reading() as connection:
        place = store.collection(connection, collection)
    return [person.name for person in store.nearest(place, row[None], count)[0]]


def test_enrolled_people_are_found_the_nearest_first(store: TemplateStore, enrol: Enrol) -> None:
    rows = unit_rows(5)
    for name, row in zip("abcde", rows, strict=True):
        enrol(store, name, row)
    order = np.argsort(-(rows @ rows[2]))
    assert nearest(store, rows[2]) == ["abcde"[i] for i in order[:3]]


def test_a_template_is_read_back_exactly(store: TemplateStore, enrol: Enrol) -> None:
    row = unit_rows(1)[0]
    enrol(store, "a", row)
    with store.database.reading() as connection:
        person = store.person(connection, store.collection(connection, "main"), "a")
    assert [template.kind for template in person.templates] == ["protected"]
    np.testing.assert_array_equal(person.templates[0].row, row)


def test_nothing_of_a_template_is_readable_in_the_database(store: TemplateStore, enrol: Enrol) -> None:
    row = unit_rows(1)[0]
    enrol(store, "a", row)
    with store.database.reading() as connection:
        sealed = connection.scalar(select(templates.c.sealed))
    assert sealed is not None
    assert len(sealed) == 12 + 4 * SIZE + 16
    assert row.tobytes()[:8] not in sealed


def test_search_follows_another_server_on_the_same_database(store: TemplateStore, enrol: Enrol) -> None:
    rows = unit_rows(3)
    enrol(store, "a", rows[0])
    other = memory_store(store.database)
    assert nearest(other, rows[1]) == ["a"]
    enrol(store, "b", rows[1])
    assert nearest(other, rows[1])[0] == "b"
    with store.database.writing() as connection:
        store.delete_person(connection, store.collection(connection, "main"), "b")
    assert nearest(other, rows[1]) == ["a"]
    enrol(store, "a", rows[2], replace=True)
    assert nearest(other, rows[2]) == ["a"]
    assert other.search.size(1) == 1  # type: ignore[attr-defined]


def test_collections_are_never_compared_with_each_other(store: TemplateStore, enrol: Enrol) -> None:
    rows = unit_rows(2)
    with store.database.writing() as connection:
        store.make_collection(connection, "other", accept_plain=False, far=1e-3)
    enrol(store, "a", rows[0])
    enrol(store, "a", rows[1], collection="other")
    enrol(store, "b", rows[0], collection="other")
    assert nearest(store, rows[0], 10) == ["a"]
    assert nearest(store, rows[0], 10, "other") == ["b", "a"]


def test_templates_of_another_model_are_compared_with_nothing(store: TemplateStore, enrol: Enrol) -> None:
    row = unit_rows(1)[0]
    enrol(store, "a", row)
    later = memory_store(store.database, fingerprint="b" * 64)
    assert nearest(later, row) == []
    with store.database.reading() as connection:
        place = later.collection(connection, "main")
        assert later.person(connection, place, "a").templates[0].row is None
        assert later.counts(connection, place).stale == 1
    enrol(later, "a", row, replace=True)
    assert nearest(later, row) == ["a"]
    assert nearest(store, row) == []


def rows_in(database: Database) -> dict[str, int]:
    with database.reading() as connection:
        tables = ("persons", "templates")
        return {
            name: connection.scalar(select(func.count()).select_from(metadata.tables[name])) or 0 for name in tables
        }


def test_deleting_a_person_leaves_a_number_and_nothing_else(store: TemplateStore, enrol: Enrol) -> None:
    enrol(store, "a", unit_rows(3))
    with store.database.writing() as connection:
        store.delete_person(connection, store.collection(connection, "main"), "a")
    assert rows_in(store.database) == {"persons": 0, "templates": 0}
    with store.database.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(removed)) == 3
        with pytest.raises(ServiceError, match="person"):
            store.person(connection, store.collection(connection, "main"), "a")


def test_deleting_a_collection_takes_its_people_along(store: TemplateStore, enrol: Enrol) -> None:
    enrol(store, "a", unit_rows(2))
    with store.database.writing() as connection:
        store.search.dropped(store.delete_collection(connection, "main"))
    assert rows_in(store.database) == {"persons": 0, "templates": 0}
    with store.database.writing() as connection:
        store.make_collection(connection, "main", accept_plain=False, far=1e-3)
    assert nearest(store, unit_rows(1)[0]) == []


def test_a_deletion_by_another_server_is_seen_in_memory(
    store: TemplateStore, enrol: Enrol, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrol(store, "a", unit_rows(2))
    other = memory_store(store.database)
    search = other.search
    assert isinstance(search, MemorySearch)
    assert nearest(other, unit_rows(1)[0]) == ["a"]
    with store.database.writing() as connection:
        place = store.collection(connection, "main")
        store.delete_person(connection, place, "a")
    search.removed(place.id)
    assert search.size(place.id) == 0
    enrol(store, "b", unit_rows(2))
    assert nearest(other, unit_rows(1)[0]) == ["b"]
    with store.database.writing() as connection:
        store.delete_collection(connection, "main")
        store.make_collection(connection, "second", accept_plain=False, far=1e-3)
    monkeypatch.setattr("facemin.service.storage.search.memory.SWEEP_SECONDS", 0.0)
    assert nearest(other, unit_rows(1)[0], collection="second") == []
    assert search.size(place.id) == 0


def test_a_damaged_template_is_named_and_does_not_fill_memory(store: TemplateStore, enrol: Enrol) -> None:
    enrol(store, "a", unit_rows(2))
    with store.database.writing() as connection:
        connection.execute(templates.update().where(templates.c.id == 2).values(sealed=b"torn"))
    other = memory_store(store.database)
    assert isinstance(other.search, MemorySearch)
    for _ in range(3):
        with pytest.raises(ServiceError, match="store: ") as caught:
            nearest(other, unit_rows(1)[0])
        assert (caught.value.status, caught.value.code) == (503, "store_damaged")
        with store.database.reading() as connection:
            assert other.search.size(store.collection(connection, "main").id) == 0


def test_a_failed_enrolment_leaves_nothing(store: TemplateStore, enrol: Enrol) -> None:
    enrol(store, "a", unit_rows(3), most=4)
    with pytest.raises(ServiceError, match="at most 4 templates a person, got 3 there and 2 more"):
        enrol(store, "a", unit_rows(2), most=4)
    with pytest.raises(ServiceError, match="at most 4"):
        enrol(store, "b", unit_rows(5), most=4)
    assert rows_in(store.database) == {"persons": 1, "templates": 3}


def test_many_threads_enrol_and_nothing_is_lost(store: TemplateStore, enrol: Enrol) -> None:
    rows = unit_rows(24)

    def work(part: int) -> None:
        for number in range(part, 24, 4):
            enrol(store, f"p{number:02}", rows[number])
            assert nearest(store, rows[number], 1) == [f"p{number:02}"]

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows_in(store.database) == {"persons": 24, "templates": 24}
    assert [nearest(store, row, 1) for row in rows] == [[f"p{number:02}"] for number in range(24)]


def test_people_are_listed_in_pages(store: TemplateStore, enrol: Enrol) -> None:
    for name in ("c", "a", "b"):
        enrol(store, name, unit_rows(1))
    with store.database.reading() as connection:
        place = store.collection(connection, "main")
        assert store.persons(connection, place, after="", count=2) == ["a", "b"]
        assert store.persons(connection, place, after="b", count=2) == ["c"]


def test_a_name_is_taken_once(store: TemplateStore) -> None:
    with pytest.raises(ServiceError, match="free name") as caught, store.database.writing() as connection:
        store.make_collection(connection, "main", accept_plain=False, far=1e-3)
    assert caught.value.status == 409


def test_another_master_key_is_refused_at_once(store: TemplateStore) -> None:
    with pytest.raises(ValueError, match="master key"):
        memory_store(store.database, secrets=Secrets.new())


def test_a_template_moved_to_another_person_is_refused(store: TemplateStore, enrol: Enrol) -> None:
    rows = unit_rows(2)
    enrol(store, "a", rows[0])
    enrol(store, "b", rows[1])
    with store.database.writing() as connection:
        b = connection.scalar(select(persons.c.id).where(persons.c.name == "b"))
        connection.execute(templates.update().values(person_id=b))
    with store.database.reading() as connection, pytest.raises(ServiceError, match="for this person and model"):
        store.person(connection, store.collection(connection, "main"), "b")


def test_cipher_refuses_a_changed_byte() -> None:
    cipher = TemplateCipher(secrets=Secrets.new())
    sealed = bytearray(cipher.seal(unit_rows(1)[0], owner="1 1 a"))
    sealed[20] ^= 1
    with pytest.raises(ValueError, match="changed one"):
        cipher.open(bytes(sealed), owner="1 1 a")


def test_same_template_is_never_sealed_alike() -> None:
    cipher, row = TemplateCipher(secrets=Secrets.new()), unit_rows(1)[0]
    assert cipher.seal(row, owner="x") != cipher.seal(row, owner="x")


def test_the_audit_log_only_grows(database: Database) -> None:
    with database.writing() as connection:
        audit.record(connection, "enrol", "done", request_id="r1", collection="main", person="a")
    for statement in ("UPDATE audit SET outcome = 'x'", "DELETE FROM audit"):
        with pytest.raises((ServiceError, DatabaseError), match="append-only"), database.writing() as connection:
            connection.execute(text(statement))
    with database.reading() as connection:
        (entry,) = audit.entries(connection)
    assert (entry.action, entry.outcome, entry.person, entry.token_id) == ("enrol", "done", "a", None)


def test_postgresql_stopped_and_started_loses_nothing(postgresql: Cluster) -> None:
    database = Database(postgresql.fresh())
    store = memory_store(database)
    with database.writing() as connection:
        store.make_collection(connection, "main", accept_plain=False, far=1e-3)
    postgresql.stop()
    try:
        with pytest.raises(ServiceError, match="postgresql database to answer") as caught:
            database.ping()
        assert caught.value.status == 503
    finally:
        postgresql.start()
    database.ping()
    with database.reading() as connection:
        assert store.collection(connection, "main").name == "main"
    database.close()


class TestDamagedSqlite:
    def test_a_full_disk_is_a_clear_error_and_loses_nothing(self, tmp_path: Path, enrol: Enrol) -> None:
        database = Database(f"sqlite:///{tmp_path / 'store.sqlite'}")
        store = memory_store(database)
        with database.writing() as connection:
            store.make_collection(connection, "main", accept_plain=False, far=1e-3)
        enrol(store, "a", unit_rows(1))
        with database.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            # SQLite's own limit answers as a full disk does
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
            connection.rollback()
        with pytest.raises(ServiceError, match="full") as caught:
            enrol(store, "b", unit_rows(200), most=1000)
        assert caught.value.status == 503
        assert rows_in(database) == {"persons": 1, "templates": 1}
        database.close()

    def test_a_corrupt_file_is_a_clear_error(self, tmp_path: Path) -> None:
        path = tmp_path / "store.sqlite"
        path.write_bytes(b"no database at all" * 500)
        with pytest.raises(ServiceError, match="not a database") as caught:
            Database(f"sqlite:///{path}")
        assert caught.value.status == 503

    def test_damaged_pages_are_found_by_the_check(self, tmp_path: Path, enrol: Enrol) -> None:
        path = tmp_path / "store.sqlite"
        database = Database(f"sqlite:///{path}")
        store = memory_store(database)
        with database.writing() as connection:
            store.make_collection(connection, "main", accept_plain=False, far=1e-3)
        enrol(store, "a", unit_rows(500), most=1000)
        assert database.check() == []
        with database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        data = bytearray(path.read_bytes())
        data[-3 * 4096 : -2 * 4096] = bytes(4096)
        path.write_bytes(data)
        damaged = Database(f"sqlite:///{path}")
        assert damaged.check() != []
        damaged.close()

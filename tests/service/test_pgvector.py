"""Search inside PostgreSQL: exact as in memory, HNSW with its recall, and never across collections."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from facemin.service.storage.crypto import TemplateCipher
from facemin.service.storage.database import Database
from facemin.service.storage.search.pgvector import VectorSearch
from facemin.service.storage.store import TemplateStore
from tests.service.cluster import Cluster
from tests.service.conftest import FINGERPRINT, SECRETS, SIZE, Enrol, memory_store, unit_rows
from tests.service.running import noise, running


def vector_store(database: Database, *, hnsw: bool = False, fingerprint: str = FINGERPRINT) -> TemplateStore:
    cipher = TemplateCipher(secrets=SECRETS)
    try:
        search = VectorSearch(database, cipher, fingerprint=fingerprint, size=SIZE, hnsw=hnsw)
    except ValueError as error:
        if 'extension "vector"' in str(error):
            pytest.skip("needs pgvector: pip install pgserver, or Debian's postgresql-NN-pgvector")
        raise
    return TemplateStore(database, cipher, search, fingerprint=fingerprint, size=SIZE)


@pytest.fixture
def base(postgresql: Cluster) -> Iterator[Database]:
    made = Database(postgresql.fresh())
    yield made
    made.close()


def people(store: TemplateStore, row: np.ndarray, count: int, collection: str = "main") -> list[str]:
    with store.database.reading() as connection:
        place = store.collection(connection, collection)
    return [person.name for person in store.nearest(place, row[None], count)[0]]


def make(store: TemplateStore, name: str = "main") -> None:
    with store.database.writing() as connection:
        store.make_collection(connection, name, accept_plain=False, far=1e-3)


def test_exact_search_finds_what_memory_finds(base: Database, enrol: Enrol) -> None:
    store = vector_store(base)
    make(store)
    rows = unit_rows(60)
    for number in range(20):
        enrol(store, f"p{number:02}", rows[3 * number : 3 * number + 3])
    memory = memory_store(base)
    for query in unit_rows(5, seed=9):
        assert people(store, query, 7) == people(memory, query, 7)
    with base.writing() as connection:
        store.delete_person(connection, store.collection(connection, "main"), "p07")
    assert "p07" not in people(store, rows[21], 20)
    with base.reading() as connection:
        assert connection.scalar(text("SELECT count(*) FROM vectors")) == 57


def test_templates_enrolled_before_the_switch_are_found_after_it(base: Database, enrol: Enrol) -> None:
    memory = memory_store(base)
    make(memory)
    rows = unit_rows(4)
    for number, row in enumerate(rows):
        enrol(memory, f"p{number}", row)
    assert people(vector_store(base), rows[2], 1) == ["p2"]


def test_another_collection_or_model_is_not_compared(base: Database, enrol: Enrol) -> None:
    for hnsw in (False, True):
        store = vector_store(base, hnsw=hnsw)
        here, there = f"here{hnsw}".lower(), f"there{hnsw}".lower()
        make(store, here)
        make(store, there)
        rows = unit_rows(2)
        enrol(store, "a", rows[0], collection=here)
        enrol(store, "b", rows[1], collection=there)
        assert people(store, rows[0], 10, there) == ["b"]
        later = vector_store(base, hnsw=hnsw, fingerprint="b" * 64)
        assert people(later, rows[0], 10, here) == []
        with base.writing() as connection:
            number = store.delete_collection(connection, here)
        store.search.dropped(number)
        with base.reading() as connection:
            assert connection.scalar(text("SELECT count(*) FROM vectors WHERE collection_id = :n"), {"n": number}) == 0


def test_hnsw_uses_its_index_and_recalls_nearly_all(base: Database, enrol: Enrol) -> None:
    store = vector_store(base, hnsw=True)
    make(store)
    rows = unit_rows(1500)
    for start in range(0, 1500, 500):
        for number in range(start, start + 500, 50):
            enrol(store, f"p{number:04}", rows[number : number + 50], most=50)
    exact = vector_store(base)
    queries = unit_rows(20, seed=5)
    found = [len(set(people(store, q, 5)) & set(people(exact, q, 5))) for q in queries]
    assert sum(found) >= 0.95 * 100
    with base.reading() as connection:
        names = connection.scalars(text("SELECT indexname FROM pg_indexes WHERE tablename = 'vectors'")).all()
    assert any(name.startswith("vectors_hnsw_") for name in names)


def test_sqlite_has_no_pgvector(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.sqlite'}")
    with pytest.raises(ValueError, match="expected PostgreSQL for pgvector, got sqlite"):
        VectorSearch(database, TemplateCipher(secrets=SECRETS), fingerprint=FINGERPRINT, size=SIZE)
    database.close()


def test_the_whole_service_on_postgresql(postgresql: Cluster, base: Database, tmp_path: Path) -> None:
    vector_store(base)
    with running(tmp_path / "home", database=postgresql.fresh(), search="pgvector") as server:
        body = {"person": "a", "uploads": [server.upload(noise(1)), server.upload(noise(2))]}
        headers = {"Idempotency-Key": "once-only"}
        made = [server("POST", "/v1/collections/main/persons", body, headers=headers) for _ in range(2)]
        assert [answer.status for answer in made] == [201, 201]
        assert made[0].data == made[1].data
        probe = noise(1)
        probe[0, 0, 0] ^= 1
        query = {"uploads": [server.upload(probe)], "challenge": server.challenge()}
        (decisions,) = server("POST", "/v1/collections/main/identify", query).json()["results"]
        assert decisions[0]["person"] == "a"
        assert decisions[0]["score"] > 0.999
        again = server("POST", "/v1/collections/main/identify", query | {"challenge": server.challenge()})
        assert again.json()["code"] == "replayed_upload"
        assert server("DELETE", "/v1/collections/main/persons/a").status == 204

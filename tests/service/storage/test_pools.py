"""What pseudonyms change in the store: their binding, the pools that are searched, and templates sealed before them."""

import json

import numpy as np
import pytest
from sqlalchemy import select, text, update

from facemin.service.api.errors import ServiceError
from facemin.service.storage.crypto import TemplateCipher
from facemin.service.storage.records import Binding, Person
from facemin.service.storage.sealing import BOUND_BEFORE, bound_templates, check_sealing
from facemin.service.storage.search.vector_index import BLOCK, VectorIndex
from facemin.service.storage.store import TemplateStore
from facemin.service.storage.tables import meta, templates
from tests.service.cluster import Cluster
from tests.service.conftest import SECRETS, SIZE, Enrol, unit_rows
from tests.service.test_pgvector import make, vector_store

KEYS = ("a" * 64, "b" * 64)


def enrol_pseudonym(store: TemplateStore, name: str, row: np.ndarray, possession: str, epoch: int = 0) -> None:
    with store.database.writing() as connection:
        store.enrol(
            connection,
            store.collection(connection, "main"),
            name,
            row[None],
            kinds=["pseudonym"],
            key_ids=["k1"],
            binding=Binding("5" * 64, epoch, possession),
        )


def found(store: TemplateStore, row: np.ndarray, pool: str, count: int = 2) -> list[str]:
    with store.database.reading() as connection:
        place = store.collection(connection, "main")
    return [person.name for person in store.nearest(place, row[None], count, pool=pool)[0]]


def fill(store: TemplateStore, enrol: Enrol) -> np.ndarray:
    """Ten near pseudonyms of another key and ten near protected faces around one row."""
    row = unit_rows(1)[0]
    near = row + 0.01 * unit_rows(20, seed=3)
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    for number in range(10):
        enrol_pseudonym(store, f"other{number}", near[number], KEYS[1])
        enrol(store, f"plain{number}", near[10 + number])
    enrol_pseudonym(store, "mine", -row, KEYS[0])
    enrol(store, "faraway", -row)
    found: np.ndarray = row
    return found


def check_pools(store: TemplateStore, enrol: Enrol) -> None:
    row = fill(store, enrol)
    # filtered before the nearest are taken: the one of its pool is found behind ten nearer ones of others
    assert found(store, row, KEYS[0]) == ["mine"]
    assert all(name.startswith("other") for name in found(store, row, KEYS[1], 10))
    assert set(found(store, row, "", 11)) == {"faraway", *(f"plain{number}" for number in range(10))}
    with store.database.writing() as connection:
        store.delete_person(connection, store.collection(connection, "main"), "mine")
    assert found(store, row, KEYS[0]) == []


def test_a_pool_is_searched_alone_in_memory(store: TemplateStore, enrol: Enrol) -> None:
    check_pools(store, enrol)


@pytest.mark.parametrize("hnsw", [False, True])
def test_a_pool_is_searched_alone_in_pgvector(postgresql: Cluster, enrol: Enrol, hnsw: bool) -> None:
    from facemin.service.storage.database import Database

    base = Database(postgresql.fresh())
    store = vector_store(base, hnsw=hnsw)
    make(store)
    check_pools(store, enrol)
    # a table from before pools is made anew from the templates
    with base.writing() as connection:
        connection.execute(text("ALTER TABLE vectors DROP COLUMN pool"))
    again = vector_store(base, hnsw=hnsw)
    assert all(name.startswith("other") for name in found(again, unit_rows(1)[0], KEYS[1], 10))
    base.close()


def test_pools_across_blocks_and_removals() -> None:
    rows = unit_rows(BLOCK + 50)
    pools = np.arange(len(rows), dtype=np.int64) % 3
    matrix, numbers = VectorIndex(SIZE), np.arange(len(rows), dtype=np.int64)
    matrix.add(numbers, numbers, rows, pools)
    matrix.remove(numbers[5:400:7])
    left = np.setdiff1d(numbers, numbers[5:400:7])
    for pool in range(3):
        mine = left[pools[left] == pool]
        expected = mine[np.argsort(-(rows[mine] @ rows[0]), kind="stable")][:5]
        assert [hit.person for hit in matrix.search(rows[0], 5, pool=pool)] == expected.tolist()
    assert matrix.search(rows[0], 5, pool=7) == []


def test_a_person_knows_the_binding_of_their_pseudonym(store: TemplateStore, enrol: Enrol) -> None:
    enrol(store, "me", unit_rows(1))
    enrol_pseudonym(store, "me", unit_rows(1)[0], KEYS[0], epoch=4)
    with store.database.reading() as connection:
        place = store.collection(connection, "main")
        person = store.person(connection, place, "me")
        assert person.binding == Binding("5" * 64, 4, KEYS[0])
        assert [template.binding is None for template in person.templates] == [True, False]
        assert store.epoch(connection, place, person="me") == 4
        assert store.epoch(connection, place, person="you") == 0
        assert store.epoch(connection, place, person=None, possession=KEYS[0]) == 4
        assert store.epoch(connection, place, person=None, possession=KEYS[1]) == 0


def test_a_check_that_refuses_leaves_everything_as_it_was(store: TemplateStore, enrol: Enrol) -> None:
    enrol(store, "me", unit_rows(1))

    def refuse(person: Person | None) -> None:
        assert person is not None
        raise ServiceError(409, "no", "no")

    with pytest.raises(ServiceError, match="no"):
        enrol(store, "me", unit_rows(1, seed=2), replace=True, check=refuse)
    with store.database.reading() as connection:
        assert len(store.person(connection, store.collection(connection, "main"), "me").templates) == 1


def test_templates_of_the_version_before_pseudonyms_are_bound_anew_once(store: TemplateStore, enrol: Enrol) -> None:
    cipher = TemplateCipher(secrets=SECRETS)
    rows = unit_rows(3)
    enrol(store, "me", rows)
    with store.database.writing() as connection:
        for row, value in zip(connection.execute(bound_templates(templates.c.id)).all(), rows, strict=True):
            bound = ["facemin template 2", *row[:BOUND_BEFORE]]
            sealed = cipher.seal(value, owner=json.dumps(bound, separators=(",", ":")))
            connection.execute(update(templates).where(templates.c.id == row.id).values(sealed=sealed))
        connection.execute(update(meta).where(meta.c.name == "binding").values(value="2"))
    for _ in range(2):
        check_sealing(store.database, cipher)
        with store.database.reading() as connection:
            person = store.person(connection, store.collection(connection, "main"), "me")
            assert connection.scalar(select(meta.c.value).where(meta.c.name == "binding")) == "3"
        held = [template.row for template in person.templates if template.row is not None]
        np.testing.assert_array_equal(np.stack(held), rows)


def test_a_store_bound_by_a_later_version_is_refused(store: TemplateStore) -> None:
    with store.database.writing() as connection:
        connection.execute(update(meta).where(meta.c.name == "binding").values(value="9"))
    with pytest.raises(ValueError, match="version 3 or lower, got 9"):
        check_sealing(store.database, TemplateCipher(secrets=SECRETS))

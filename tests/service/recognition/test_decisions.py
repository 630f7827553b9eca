"""What a token's holder may learn, how many transactions an answer takes, and what a deletion leaves."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text, update

from facemin.service.api.errors import ServiceError
from facemin.service.storage.store import TemplateStore
from facemin.service.storage.tables import collections, templates
from tests.service.conftest import Enrol, unit_rows
from tests.service.running import Running, noise


@pytest.fixture
def place(server: Running) -> str:
    return server.new_collection()


def enrol(server: Running, place: str, person: str, seed: int, **headers: str) -> dict[str, Any]:
    body = {"person": person, "uploads": [server.upload(noise(seed))]}
    assert server("POST", f"{place}/persons", body, headers=headers).status == 201
    return body


@contextmanager
def transactions(server: Running) -> Iterator[list[str]]:
    """How each transaction of the server began, meanwhile."""
    found: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith("BEGIN"):
            found.append(statement)

    engine = server.provider.database.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("action", ["verify", "identify"])
@pytest.mark.parametrize("key", [None, "transaction-count"])
def test_an_answer_takes_one_reading_and_one_writing_transaction(
    server: Running, place: str, action: str, key: str | None
) -> None:
    enrol(server, place, "a", 8000)
    token = server.token(f"{action}:{place.rpartition('/')[2]}")
    server.challenge(token)
    for seed in (8001 + 10 * len(action), 8002 + 10 * len(action)):
        challenge, upload = server.challenge(token), server.upload(noise(seed + (100 if key else 0)))
        body = {"person": "a", "upload": upload} if action == "verify" else {"uploads": [upload]}
        headers = {"Idempotency-Key": f"{key}-{seed}"} if key else {}
        with transactions(server) as begun:
            reply = server("POST", f"{place}/{action}", body | {"challenge": challenge}, token=token, headers=headers)
        assert reply.status == 200
        assert begun == ["BEGIN", "BEGIN IMMEDIATE"]


def test_a_challenge_takes_one_transaction(server: Running) -> None:
    server.challenge()
    with transactions(server) as begun:
        server.challenge()
    assert begun == ["BEGIN IMMEDIATE"]


@pytest.mark.parametrize("action", ["persons", "verify", "identify"])
def test_a_token_revoked_since_its_last_request_is_refused(server: Running, place: str, action: str) -> None:
    made = server("POST", "/v1/tokens", {"name": "t", "grants": ["enrol", "verify", "identify"]}).json()
    token, upload = made["token"], server.upload(noise(8100))
    bodies = {
        "persons": {"uploads": [upload]},
        "verify": {"person": "a", "upload": upload, "challenge": server.challenge(token)},
        "identify": {"uploads": [upload], "challenge": server.challenge(token)},
    }
    assert server("DELETE", f"/v1/tokens/{made['id']}").status == 204
    assert server("POST", f"{place}/{action}", bodies[action], token=token).status == 401
    assert server("POST", "/v1/challenges", token=token).status == 401


class TestWhoIsEnrolled:
    def test_a_verify_token_learns_of_no_person_without_spending_a_challenge(self, server: Running, place: str) -> None:
        enrol(server, place, "there", 8200)
        token = server.token(f"verify:{place.rpartition('/')[2]}")
        challenge = server.challenge(token)
        wrong = {"data": "AAAA", "key_id": server.key_id}
        told = []
        for person in ("there", "nobody"):
            body = {"person": person, "upload": wrong, "challenge": challenge}
            reply = server("POST", f"{place}/verify", body, token=token).json()
            told.append((reply["code"], reply["message"]))
        assert told[0] == told[1]

    def test_asking_costs_a_challenge_an_upload_and_a_line_in_the_log(self, server: Running, place: str) -> None:
        challenge, upload = server.challenge(), server.upload(noise(8201))
        body = {"person": "nobody", "upload": upload, "challenge": challenge}
        reply = server("POST", f"{place}/verify", body)
        assert (reply.status, reply.json()["code"]) == (404, "person_not_found")
        assert "nobody" not in reply.json()["message"]
        assert server("POST", f"{place}/verify", body).json()["code"] == "wrong_challenge"
        again = server("POST", f"{place}/verify", body | {"challenge": server.challenge()})
        assert again.json()["code"] == "replayed_upload"
        log = [e for e in server("GET", "/v1/audit?count=1000").json() if e["collection"] == place.rpartition("/")[2]]
        first = next(e for e in log if e["action"] == "verify")
        assert (first["person"], first["outcome"]) == ("nobody", "person_not_found")


@pytest.mark.parametrize("action", ["verify", "identify"])
def test_a_far_laxer_than_the_collections_own_is_refused(server: Running, place: str, action: str) -> None:
    enrol(server, place, "a", 8300)
    assert server("PATCH", place, {"far": 1e-4}).status == 200
    upload = server.upload(noise(8301 + len(action)))
    body: dict[str, Any] = {"person": "a", "upload": upload} if action == "verify" else {"uploads": [upload]}
    body |= {"challenge": server.challenge()}
    answer = server("POST", f"{place}/{action}", body | {"far": 1e-3})
    assert (answer.status, answer.json()["code"]) == (422, "far_too_lax")
    assert server("POST", f"{place}/{action}", body | {"far": 1e-4}).status == 200


class TestDeletion:
    def test_remembered_answers_that_name_a_person_go_with_them(self, server: Running, place: str) -> None:
        body = enrol(server, place, "gone", 8400, **{"Idempotency-Key": "deleted-enrol"})
        asked = {"person": "gone", "upload": server.upload(noise(8401)), "challenge": server.challenge()}
        found = {"uploads": [server.upload(noise(8402))], "challenge": server.challenge()}
        sent = [
            (f"{place}/persons", body, {"Idempotency-Key": "deleted-enrol"}),
            (f"{place}/verify", asked, {"Idempotency-Key": "deleted-verify"}),
            (f"{place}/identify", found, {"Idempotency-Key": "deleted-identify"}),
        ]
        for path, content, headers in sent:
            assert server("POST", path, content, headers=headers).status in (200, 201)
        assert server("DELETE", f"{place}/persons/gone").status == 204
        for path, content, headers in sent:
            again = server("POST", path, content, headers=headers)
            assert (again.status, again.json()["code"]) == (404, "person_not_found")
        assert server("GET", f"{place}/persons").json()["persons"] == []
        with server.provider.database.reading() as connection:
            kept = connection.execute(text("SELECT body FROM answers WHERE key LIKE 'deleted-%'")).scalars().all()
            assert kept == ["", "", ""]

    def test_answers_that_name_others_stay(self, server: Running, place: str) -> None:
        enrol(server, place, "gone", 8410)
        body = enrol(server, place, "stays", 8411, **{"Idempotency-Key": "stays-enrol"})
        assert server("DELETE", f"{place}/persons/gone").status == 204
        again = server("POST", f"{place}/persons", body, headers={"Idempotency-Key": "stays-enrol"})
        assert (again.status, again.json()["person"]) == (201, "stays")

    def test_a_collections_answers_go_with_it(self, server: Running, place: str) -> None:
        body = enrol(server, place, "gone", 8420, **{"Idempotency-Key": "collection-enrol"})
        assert server("DELETE", place).status == 204
        again = server("POST", f"{place}/persons", body, headers={"Idempotency-Key": "collection-enrol"})
        assert again.status == 404


def swap(store: TemplateStore, table: str, one: str, other: str) -> None:
    with store.database.writing() as connection:
        for old, new in ((one, "between"), (other, one), ("between", other)):
            connection.execute(text(f"UPDATE {table} SET name = :new WHERE name = :old"), {"old": old, "new": new})


class TestSealing:
    """A database that somebody wrote into, without the master key."""

    def read(self, store: TemplateStore, name: str, collection: str = "main") -> None:
        with store.database.reading() as connection:
            store.person(connection, store.collection(connection, collection), name)

    def test_swapped_names_are_found(self, store: TemplateStore, enrol: Enrol) -> None:
        enrol(store, "a", unit_rows(1))
        enrol(store, "b", unit_rows(1, seed=1))
        swap(store, "persons", "a", "b")
        with pytest.raises(ServiceError, match="by name") as caught:
            self.read(store, "a")
        assert caught.value.code == "store_damaged"
        with store.database.reading() as connection:
            place = store.collection(connection, "main")
        with pytest.raises(ServiceError, match="by name"):
            store.nearest(place, unit_rows(1), 1)

    def test_swapped_names_are_found_by_who_had_read_them_before(self, store: TemplateStore, enrol: Enrol) -> None:
        enrol(store, "a", unit_rows(1))
        enrol(store, "b", unit_rows(1, seed=1))
        with store.database.reading() as connection:
            place = store.collection(connection, "main")
        assert store.nearest(place, unit_rows(1), 1)[0][0].name == "a"
        swap(store, "persons", "a", "b")
        with pytest.raises(ServiceError, match="by name"):
            store.nearest(place, unit_rows(1), 1)

    def test_swapped_collections_are_found(self, store: TemplateStore, enrol: Enrol) -> None:
        with store.database.writing() as connection:
            store.make_collection(connection, "other", accept_plain=False, far=1e-3)
        enrol(store, "a", unit_rows(1))
        enrol(store, "a", unit_rows(1, seed=1), collection="other")
        swap(store, "collections", "main", "other")
        with pytest.raises(ServiceError, match="by name"):
            self.read(store, "a")

    @pytest.mark.parametrize("change", [{"kind": "plain"}, {"key_id": "another"}])
    def test_another_kind_or_key_is_found(self, store: TemplateStore, enrol: Enrol, change: dict[str, str]) -> None:
        enrol(store, "a", unit_rows(1))
        with store.database.writing() as connection:
            connection.execute(update(templates).values(change))
        with pytest.raises(ServiceError, match="by name"):
            self.read(store, "a")

    def test_a_name_cannot_be_written_so_that_it_reads_as_another_binding(self) -> None:
        from facemin.service.storage.sealing import owner

        assert owner(1, "a", 1, 'b","c', "k", "k", "f") != owner(1, "a", 1, "b", "c", "k", "k", "f")

    def test_a_collections_settings_are_not_sealed_as_the_document_says(self, store: TemplateStore) -> None:
        with store.database.writing() as connection:
            connection.execute(update(collections).values(accept_plain=True))
        with store.database.reading() as connection:
            assert store.collection(connection, "main").accept_plain


@pytest.mark.parametrize("verb", ["INSERT OR REPLACE", "REPLACE", "UPDATE OR REPLACE", "UPSERT"])
def test_no_statement_rewrites_the_audit_log(store: TemplateStore, verb: str) -> None:
    from facemin.service.storage import audit_log as audit

    if store.database.kind != "sqlite" and verb != "UPSERT":
        pytest.skip("a form of SQLite's")
    with store.database.writing() as connection:
        audit.record(connection, "enrol", "done", request_id="r1")
    values = "(id, at, request_id, action, outcome) VALUES (1, 0, 'r', 'x', 'x')"
    statement = {
        "UPDATE OR REPLACE": "UPDATE OR REPLACE audit SET outcome = 'x'",
        "UPSERT": f"INSERT INTO audit {values} ON CONFLICT (id) DO UPDATE SET outcome = 'x'",
    }.get(verb, f"{verb} INTO audit {values}")
    with pytest.raises(Exception, match="append-only"), store.database.writing() as connection:
        connection.execute(text(statement))
    with store.database.writing() as connection:
        audit.record(connection, "enrol", "again", request_id="r2")
    with store.database.reading() as connection:
        assert [entry.outcome for entry in audit.entries(connection)] == ["done", "again"]

"""Sessions: what a page's token reaches, endpoint by endpoint, and when it ends."""

import sqlite3
import tarfile
import threading
import time
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import text, update

from facemin.service.api.app import create_app
from facemin.service.api.errors import ServiceError
from facemin.service.sessions import MOST_OPEN, REACHABLE, make_session
from facemin.service.storage.backup import back_up, restore
from facemin.service.storage.database import Database
from facemin.service.storage.migrations import STEPS, schema_version
from facemin.service.storage.session_ends import end_sessions
from facemin.service.storage.tables import sessions
from facemin.service.token_authenticator import TokenAuthenticator
from facemin.service.tokens import make_token, revoke_token
from tests.conftest import PATIENCE
from tests.service.conftest import memory_store
from tests.service.running import Running, noise, running, serving
from tests.service.test_scopes import OPEN, RULES

BACKEND = ("session:main", "identify:main")


@pytest.fixture(scope="module")
def backend(server: Running) -> str:
    return server.token(*BACKEND)


def session(server: Running, backend: str, **body: Any) -> str:
    made = server("POST", "/v1/sessions", {"collection": "main"} | body, token=backend)
    assert made.status == 201, made.json()
    text_: str = made.json()["token"]
    return text_


def enrolment(server: Running, person: str | None, seed: int) -> dict[str, Any]:
    return {"person": person, "uploads": [server.upload(noise(seed))]}


def test_a_session_says_what_it_is_bound_to_and_lasts_a_quarter_of_an_hour(server: Running, backend: str) -> None:
    made = server("POST", "/v1/sessions", {"collection": "main", "person": "ann"}, token=backend).json()
    assert made["token"].startswith(f"fms_{made['id']}_")
    assert (made["scope"], made["collection"], made["person"]) == ("self", "main", "ann")
    assert datetime.fromisoformat(made["expires"]).timestamp() == pytest.approx(time.time() + 900, abs=30)
    last = server("GET", "/v1/audit?count=1000").json()[-1]
    assert (last["action"], last["outcome"], last["person"]) == ("make_session", made["id"], "ann")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"person": None}, 422, "invalid_request"),
        ({"scope": "identify", "person": "ann"}, 422, "invalid_request"),
        ({"scope": "admin", "person": "ann"}, 422, "invalid_request"),
        ({"person": "ann", "seconds": 3601}, 422, "session_too_long"),
        ({"person": "ann", "seconds": 0}, 422, "invalid_request"),
        ({"person": "ann", "seconds": 1e9}, 422, "invalid_request"),
        ({"person": "../x"}, 422, "invalid_request"),
        ({"person": "ann", "collection": "elsewhere"}, 403, "forbidden"),
    ],
)
def test_a_session_that_cannot_be_is_refused(
    server: Running, backend: str, body: dict[str, Any], status: int, code: str
) -> None:
    answer = server("POST", "/v1/sessions", {"collection": "main"} | body, token=backend)
    assert (answer.status, answer.json()["code"]) == (status, code)


def test_identify_needs_its_own_scope_and_a_collection_has_to_be_there(server: Running) -> None:
    without = server.token("session:main", "verify:main", "enrol:main", "admin:main")
    body = {"collection": "main", "scope": "identify"}
    assert server("POST", "/v1/sessions", body, token=without).status == 403
    # whoever may enrol, verify and delete may not hand that on by itself
    assert (
        server("POST", "/v1/sessions", {"collection": "main", "person": "ann"}, token=server.token("admin:main")).status
        == 403
    )
    everywhere = server.token("session")
    assert server("POST", "/v1/sessions", {"collection": "none", "person": "a"}, token=everywhere).status == 404


def reached(scope: str, method: str, path: str, rule: set[str]) -> bool:
    return rule == {OPEN} or (method, path) in REACHABLE["self" if scope == "self" else "identify"]


@pytest.mark.parametrize("scope", ["self", "identify"])
@pytest.mark.parametrize("place", ["main", "elsewhere"])
@pytest.mark.parametrize("person", ["ann", "bob"])
def test_a_session_reaches_what_is_named_and_nothing_else(
    server: Running, backend: str, scope: str, place: str, person: str
) -> None:
    """The whole route table, with its own names and with others."""
    token = session(server, backend, scope=scope, person="ann" if scope == "self" else None)
    wrong = {}
    for (method, path), rule in RULES.items():
        filled = path.format(collection=place, person=person, key_id="none", token_id="0" * 16, session_id="0" * 16)
        body = {"no": "such field"} if method in ("POST", "PATCH") and path != "/v1/challenges" else None
        own = ("{collection}" not in path or place == "main") and ("{person}" not in path or person == "ann")
        status = server(method, filled, body, token=token).status
        let_in = status not in (401, 403)
        if let_in != (reached(scope, method, path, rule) and own):
            wrong[method, filled] = status
    assert not wrong


def test_every_route_that_a_session_reaches_is_one_of_the_table(server: Running) -> None:
    named = {place for places in REACHABLE.values() for place in places}
    assert named <= set(RULES)


def test_a_new_endpoint_is_closed_to_sessions(server: Running, backend: str) -> None:
    """One that asks for any token at all, and names no rule for sessions, behind the real gate."""
    import asyncio

    token = session(server, backend, person="ann")
    app = create_app(server.provider)

    async def surprise() -> dict[str, str]:
        return {"got": "in"}

    app.router.routes.append(APIRoute("/v1/collections/{collection}/persons/{person}/new", surprise))
    app.router.routes.append(APIRoute("/v1/new", surprise))

    async def get(path: str, bearer: str) -> int:
        status = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                status.append(message["status"])

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"authorization", f"Bearer {bearer}".encode())],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        await app(scope, receive, send)
        return int(status[0])

    for path in ("/v1/new", "/v1/collections/main/persons/ann/new"):
        assert asyncio.run(get(path, server.admin)) == 200
        assert asyncio.run(get(path, token)) == 403


def test_a_body_naming_another_person_is_refused(server: Running, backend: str) -> None:
    token = session(server, backend, person="ann")
    for person in ("bob", None):
        answer = server("POST", "/v1/collections/main/persons", enrolment(server, person, 7001), token=token)
        assert (answer.status, answer.json()["code"]) == (403, "other_person")
    probe = {"person": "bob", "upload": server.upload(noise(7002)), "challenge": server.challenge(token)}
    assert server("POST", "/v1/collections/main/verify", probe, token=token).json()["code"] == "other_person"
    for query in (
        "collection=main&person=bob",
        "collection=elsewhere&person=ann",
        f"collection=main&possession={'0' * 64}",
        "person=bob",
    ):
        assert server("POST", f"/v1/challenges?{query}", token=token).status == 403
    assert server("POST", "/v1/challenges?collection=main&person=ann", token=token).status == 201
    finder = session(server, backend, scope="identify")
    assert server("POST", "/v1/challenges?collection=main&person=ann", token=finder).status == 403
    assert server("POST", f"/v1/challenges?collection=main&possession={'0' * 64}", token=finder).status == 201


def test_a_person_enrols_verifies_and_is_deleted_with_their_session(server: Running) -> None:
    place = server.collection("own")
    name = place.rpartition("/")[2]
    backend = server.token(f"session:{name}", f"identify:{name}")
    token = session(server, backend, collection=name, person="ann")
    assert server("POST", f"{place}/persons", enrolment(server, "ann", 7010), token=token).status == 201
    assert server("GET", f"{place}/persons/ann", token=token).json()["person"] == "ann"
    probe = server.upload(noise(7010))
    probe = {"person": "ann", "upload": probe, "challenge": server.challenge(token)}
    # the very image was enrolled: known, which is an answer of the endpoint's and not of the gate's
    assert server("POST", f"{place}/verify", probe, token=token).json()["code"] == "replayed_upload"
    finder = session(server, backend, collection=name, scope="identify")
    body = {"uploads": [server.upload(noise(7011))], "challenge": server.challenge(finder)}
    assert server("POST", f"{place}/identify", body, token=finder).status == 200
    other = session(server, backend, collection=name, person="ann")
    # a challenge is of the session that asked for it
    stolen = {"person": "ann", "upload": server.upload(noise(7012)), "challenge": server.challenge(other)}
    assert server("POST", f"{place}/verify", stolen, token=token).json()["code"] == "wrong_challenge"
    assert server("DELETE", f"{place}/persons/ann", token=token).status == 204
    assert server("GET", f"{place}/persons").json()["persons"] == []


def test_a_session_ends_with_its_token_by_its_token_and_by_itself(server: Running) -> None:
    made = server("POST", "/v1/tokens", {"name": "app", "grants": ["session:main"]}).json()
    first, second, third = (session(server, made["token"], person="ann", seconds=60) for _ in range(3))
    asks = ("POST", "/v1/challenges")
    assert [server(*asks, token=each).status for each in (first, second, third)] == [201] * 3
    stranger = server.token("session:main")
    assert server("DELETE", f"/v1/sessions/{first[4:20]}", token=stranger).status == 404
    assert server("DELETE", f"/v1/sessions/{first[4:20]}", token=made["token"]).status == 204
    assert server(*asks, token=first).status == 401
    assert server("DELETE", f"/v1/sessions/{first[4:20]}", token=made["token"]).status == 404
    with server.provider.database.writing() as connection:
        ended = update(sessions).where(sessions.c.id == second[4:20]).values(expires=time.time() - 1)
        connection.execute(ended)
    assert server(*asks, token=second).status == 401
    assert server("DELETE", f"/v1/tokens/{made['id']}").status == 204
    # remembered by this server, and refused all the same: by an endpoint that confirms it itself, and by the gate
    assert server(*asks, token=third).status == 401
    assert server("GET", "/v1/collections/main/persons/ann", token=third).status == 401


def test_a_session_is_no_longer_than_its_token(database: Database) -> None:
    ends = time.time() + 600
    with database.writing() as connection:
        parent, _ = make_token(connection, "app", frozenset({("session", "main")}), expires=ends)
        made, _ = make_session(connection, parent, "self", "main", "ann", seconds=900)
    assert made.expires == ends


def test_a_session_is_known_to_every_process_and_its_secret_to_none(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.sqlite'}"
    database, other = Database(url), Database(url)
    with database.writing() as connection:
        parent, _ = make_token(connection, "app", frozenset({("session", "main")}))
        made, given = make_session(connection, parent, "self", "main", "ann", seconds=900)
    here, there = TokenAuthenticator(database), TokenAuthenticator(other)
    assert here.admit(given) == there.admit(given) == made
    for wrong in (given[:-1] + ("a" if given[-1] != "a" else "b"), "fmt" + given[3:], "fms_" + parent.id + given[20:]):
        with pytest.raises(ServiceError, match="unknown, expired or revoked"):
            here.admit(wrong)
    with other.writing() as connection:
        revoke_token(connection, parent.id)
    with pytest.raises(ServiceError):
        here.admit(given)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    other.close()
    assert given.split("_", 2)[2].encode() not in (tmp_path / "x.sqlite").read_bytes()


def test_a_token_has_so_many_sessions_at_once_and_ended_ones_make_room(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_OPEN >= 1000
    monkeypatch.setattr("facemin.service.sessions.MOST_OPEN", 2)
    with database.writing() as connection:
        parent, _ = make_token(connection, "app", frozenset({("session", "main")}))
        for seconds in (-1, 900, 900):
            make_session(connection, parent, "self", "main", "ann", seconds=seconds)
        with pytest.raises(ServiceError, match="expected fewer than 2 open ones"):
            make_session(connection, parent, "self", "main", "ann", seconds=900)
        assert connection.scalar(text("SELECT count(*) FROM sessions")) == 2
        end_sessions(connection, "deleted", "main", "ann")
        make_session(connection, parent, "self", "main", "ann", seconds=900)


@pytest.mark.usefixtures("stopped_clock")
def test_sessions_have_their_own_rate_and_never_lock_their_backend_out(tmp_path: Path) -> None:
    with running(tmp_path / "home", session_requests_per_minute=3, requests_per_minute=8) as server:
        backend = server.token("session:main")
        first, second, third = (session(server, backend, person=f"p{n}") for n in range(3))
        asks = ("POST", "/v1/challenges")
        assert [server(*asks, token=first).status for _ in range(4)] == [201] * 3 + [429]
        assert [server(*asks, token=second).status for _ in range(4)] == [201] * 3 + [429]
        # all sessions of one token together have as much as one token
        assert [server(*asks, token=third).status for _ in range(3)] == [201, 201, 429]
        assert server("POST", "/v1/sessions", {"collection": "main", "person": "p"}, token=backend).status == 201


def test_a_key_behind_a_token_is_for_sessions_too(tmp_path: Path) -> None:
    with running(tmp_path / "home", key_access="token", session_seconds=60) as closed:
        made = closed("POST", "/v1/sessions", {"collection": "main", "person": "a"}, token=closed.token("session"))
        # what a backend gets that names no time is never longer than the provider allows
        assert datetime.fromisoformat(made.json()["expires"]).timestamp() < time.time() + 61
        token = session(closed, closed.token("session:main"), person="ann")
        assert closed("GET", "/v1/key", token=token).status == 200
        assert closed("GET", "/v1/key", token=None).status == 401


@pytest.fixture
def old_home(tmp_path: Path) -> Running:
    """A provider of version 0.2: its database has no table of sessions."""
    home = tmp_path / "home"
    with running(home) as made:
        token = made.token("session:main", "enrol:main")
    with closing(sqlite3.connect(home / "provider.sqlite")) as connection, connection:
        connection.execute("DROP TABLE sessions")
        connection.execute("UPDATE meta SET value = '3' WHERE name = 'schema'")
    made.home = home
    made.admin = token
    return made


def test_a_database_from_before_sessions_gets_them_and_keeps_its_tokens(old_home: Running) -> None:
    with serving(old_home.home, old_home.admin) as server:
        with server.provider.database.reading() as connection:
            assert schema_version(connection) == len(STEPS)
        token = session(server, "admin", person="ann")
        assert server("POST", "/v1/collections/main/persons", enrolment(server, "ann", 7020), token=token).status == 201


def test_a_database_of_either_kind_gets_sessions(database: Database, url: str) -> None:
    with database.writing() as connection:
        connection.execute(text("DROP TABLE sessions"))
        connection.execute(text("UPDATE meta SET value = '3' WHERE name = 'schema'"))
    again = Database(url)
    try:
        with again.writing() as connection:
            parent, _ = make_token(connection, "app", frozenset({("session", "main")}))
            _, given = make_session(connection, parent, "self", "main", "ann", seconds=60)
        assert TokenAuthenticator(again).admit(given).session is not None
    finally:
        again.close()


def test_a_backup_holds_no_sessions(tmp_path: Path) -> None:
    with running(tmp_path / "home") as server:
        token = session(server, server.token("session:main"), person="ann")
        back_up(tmp_path / "home", tmp_path / "b.tar", with_secrets=True)
        assert server("POST", "/v1/challenges", token=token).status == 201
    with tarfile.open(tmp_path / "b.tar") as tar:
        assert "provider.sqlite" in tar.getnames()
    assert restore(tmp_path / "b.tar", tmp_path / "again") == []
    with serving(tmp_path / "again", server.admin) as again:
        assert again("POST", "/v1/challenges", token=token).status == 401
        assert again("GET", "/v1/collections/main").status == 200


def statuses(server: Running, *tokens: str) -> list[tuple[int, str | None]]:
    """What a challenge is answered, by an endpoint that reads the session itself, with the refusal's code."""
    replies = [server("POST", "/v1/challenges", token=token) for token in tokens]
    return [(reply.status, reply.json().get("code")) for reply in replies]


GOES_ON, DELETED, REPLACED = (201, None), (401, "session_deleted"), (401, "session_replaced")


@pytest.mark.parametrize("by", ["another session", "an admin"])
def test_deleting_a_person_ends_their_sessions(server: Running, by: str) -> None:
    place = server.collection("ends-" + by.replace(" ", "-"))
    name = place.rpartition("/")[2]
    backend = server.token(f"session:{name}", f"identify:{name}")
    first, second, bob = (session(server, backend, collection=name, person=who) for who in ("ann", "ann", "bob"))
    finder = session(server, backend, collection=name, scope="identify")
    assert server("POST", f"{place}/persons", enrolment(server, "ann", 7030), token=first).status == 201
    assert statuses(server, first, second, bob, finder) == [GOES_ON] * 4
    assert server("DELETE", f"{place}/persons/ann", token=second if by == "another session" else "admin").status == 204
    assert statuses(server, first, second, bob, finder) == [DELETED, DELETED, GOES_ON, GOES_ON]
    for method, path, body in (
        ("POST", f"{place}/persons", enrolment(server, "ann", 7031)),
        ("GET", f"{place}/persons/ann", None),
        ("DELETE", f"{place}/persons/ann", None),
    ):
        reply = server(method, path, body, token=first)
        assert (reply.status, reply.json()["code"]) == DELETED
    assert server("GET", f"{place}/persons").json()["persons"] == []
    # a new one is for the person's next enrolment
    new = session(server, backend, collection=name, person="ann")
    assert server("POST", f"{place}/persons", enrolment(server, "ann", 7032), token=new).status == 201
    assert statuses(server, first) == [DELETED]


def test_deleting_a_collection_ends_its_sessions_for_good(server: Running) -> None:
    place = server.collection("anew")
    backend = server.token("session:anew", "identify:anew")
    own = session(server, backend, collection="anew", person="ann")
    finder = session(server, backend, collection="anew", scope="identify")
    elsewhere = session(server, server.token("session:main"), person="ann")
    assert statuses(server, own, finder) == [GOES_ON, GOES_ON]
    assert server("DELETE", place).status == 204
    assert statuses(server, own, finder) == [DELETED, DELETED]
    server.collection("anew")
    assert statuses(server, own, finder, elsewhere) == [DELETED, DELETED, GOES_ON]
    assert server("POST", f"{place}/persons", enrolment(server, "ann", 7040), token=own).status == 401


def test_replacing_an_enrolment_ends_the_persons_other_sessions(server: Running) -> None:
    place = server.collection("replaced")
    backend = server.token("session:replaced")
    first, second, bob = (session(server, backend, collection="replaced", person=who) for who in ("ann", "ann", "bob"))
    assert server("POST", f"{place}/persons", enrolment(server, "ann", 7050), token=first).status == 201
    # a further face replaces nothing
    assert server("POST", f"{place}/persons", enrolment(server, "ann", 7051), token="admin").status == 201
    assert statuses(server, first, second) == [GOES_ON, GOES_ON]
    again = enrolment(server, "ann", 7052) | {"replace": True}
    assert server("POST", f"{place}/persons", again, token=first).status == 201
    assert statuses(server, first, second, bob) == [GOES_ON, REPLACED, GOES_ON]
    again = enrolment(server, "ann", 7053) | {"replace": True}
    assert server("POST", f"{place}/persons", again, token="admin").status == 201
    assert statuses(server, first, second, bob) == [REPLACED, REPLACED, GOES_ON]


def test_an_enrolment_in_flight_does_not_restore_a_deleted_person(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The person is deleted after the enrolment's session was read, and before it is written."""
    place = server.collection("under-way")
    backend = server.token("session:under-way")
    token = session(server, backend, collection="under-way", person="ann")
    assert server("POST", f"{place}/persons", enrolment(server, "ann", 7060), token=token).status == 201
    embed = server.provider.embedder.__call__

    def meanwhile(self: object, uploads: Any) -> Any:
        assert server("DELETE", f"{place}/persons/ann").status == 204
        return embed(uploads)

    monkeypatch.setattr(type(server.provider.embedder), "__call__", meanwhile)
    reply = server("POST", f"{place}/persons", enrolment(server, "ann", 7061), token=token)
    assert (reply.status, reply.json()["code"]) == DELETED
    assert server("GET", f"{place}/persons").json()["persons"] == []


def test_the_reason_a_session_ended_needs_its_secret(server: Running) -> None:
    place = server.collection("told")
    token = session(server, server.token("session:told"), collection="told", person="ann")
    assert server("DELETE", place).status == 204
    wrong = token[:-1] + ("a" if token[-1] != "a" else "b")
    reply = server("POST", "/v1/challenges", token=wrong)
    assert (reply.status, reply.json()["code"]) == (401, "unauthorised")


def test_deleting_a_collection_waits_for_a_session_being_made(database: Database) -> None:
    """PostgreSQL: deleting waits for the session that is being made, and then ends it too."""
    if database.kind != "postgresql":
        pytest.skip("SQLite lets one transaction write at a time")
    made_by = memory_store(database)
    with database.writing() as connection:
        made_by.make_collection(connection, "main", accept_plain=False, far=1e-3)
        parent, _ = make_token(connection, "app", frozenset({("session", "main")}))

    def delete() -> None:
        with database.writing() as connection:
            made_by.delete_collection(connection, "main")

    with database.writing() as connection:
        made_by.collection(connection, "main", hold=True)
        _, given = make_session(connection, parent, "self", "main", "ann", seconds=900)
        deleting = threading.Thread(target=delete)
        deleting.start()
        deleting.join(0.5)
        assert deleting.is_alive()
    deleting.join(PATIENCE)
    assert not deleting.is_alive()
    with pytest.raises(ServiceError, match="was deleted"):
        TokenAuthenticator(database).admit(given)

"""A provider's home and back-up that the first version made: opened, brought up to date, and nobody in it lost."""

import gzip
import io
import json
import sqlite3
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from facemin.service.api.errors import ServiceError
from facemin.service.provider import Provider
from facemin.service.storage.backup import restore
from facemin.service.storage.database import Database
from facemin.service.storage.migrations import STEPS, schema_version
from facemin.service.storage.tables import answered, answers, tokens
from facemin.service.token_authenticator import TokenAuthenticator
from tests.service.running import Running, noise, serving

STORED = Path(__file__).parent / "stored"
"""Made by the code of version 0.1 (commit 4935f24): cut conv32.1, templates of coloured noise, argon2 tokens, and
remembered answers to three requests (enrol ann, enrol gone and delete them, verify ann)."""


@pytest.fixture(scope="module")
def facts() -> Any:
    return json.loads(gzip.decompress((STORED / "facts.json.gz").read_bytes()))


@pytest.fixture
def provider_home(tmp_path: Path) -> Path:
    """The home as the first version left it, with the permissions it had."""
    folder = tmp_path / "home"
    folder.mkdir()
    data = gzip.decompress((STORED / "backup.tar.gz").read_bytes())
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            content = tar.extractfile(member)
            assert content is not None
            (folder / member.name).write_bytes(content.read())
            (folder / member.name).chmod(0o644)
    # as if it had been left a moment ago: answers were kept for a day, and keys for ninety
    ends_in(folder, "answers", 86_400)
    ends_in(folder, "provider_keys", 90 * 86_400)
    return folder


def ends_in(folder: Path, table: str, seconds: float) -> None:
    """Let what a home holds that no version after the first has opened end so far from now."""
    with closing(sqlite3.connect(folder / "provider.sqlite")) as connection, connection:
        connection.execute(f"UPDATE {table} SET expires = ?", (round(time.time() + seconds),))


@contextmanager
def served(provider_home: Path, facts: Any) -> Iterator[Running]:
    with serving(provider_home, facts["tokens"]["admin"]) as made:
        yield made


def stored_hashes(provider_home: Path) -> list[str]:
    database = Database(f"sqlite:///{provider_home / 'provider.sqlite'}")
    try:
        with database.reading() as connection:
            return [hashed.split("$")[0] or "argon2" for hashed in connection.scalars(select(tokens.c.hash))]
    finally:
        database.close()


def test_a_stored_provider_answers_as_before_and_its_answers_can_be_given_again(
    provider_home: Path, facts: Any
) -> None:
    token = facts["tokens"]["verify"]
    assert stored_hashes(provider_home) == ["argon2"] * 3
    with served(provider_home, facts) as server:
        body = {"person": "ann", "upload": server.upload(noise(90_001)), "challenge": server.challenge(token)}
        assert server("POST", "/v1/collections/main/verify", body, token=token).status == 200
        replay = {"Idempotency-Key": "stored-verify"}
        again = server("POST", "/v1/collections/main/verify", facts["replays"]["verify"], headers=replay)
        assert again.json() == facts["verified"]
        people = server("GET", "/v1/collections/main/persons").json()["persons"]
        assert people == ["ann", "bob"]
        assert server("GET", "/v1/collections/main", token=facts["tokens"]["revoked"]).status == 401
        assert server("GET", "/v1/audit?count=1000").json()[0]["action"] == "rotate_key"
    # each was rewritten at its use; the revoked one had none
    assert sorted(stored_hashes(provider_home)) == ["argon2", "sha256", "sha256"]


def test_an_old_answer_is_given_no_more_after_its_end(provider_home: Path, facts: Any) -> None:
    ends_in(provider_home, "answers", -1)
    with served(provider_home, facts) as server:
        replay = {"Idempotency-Key": "stored-verify"}
        again = server("POST", "/v1/collections/main/verify", facts["replays"]["verify"], headers=replay)
        assert again.json()["code"] == "wrong_challenge"


def test_an_old_answer_that_names_a_deleted_person_is_given_no_more(provider_home: Path, facts: Any) -> None:
    with served(provider_home, facts) as server:
        replay = {"Idempotency-Key": "stored-gone"}
        answer = server("POST", "/v1/collections/main/persons", facts["replays"]["gone"], headers=replay)
        assert (answer.status, answer.json()["code"]) == (404, "person_not_found")
        assert server("GET", "/v1/collections/main/persons/gone").status == 404
        assert server("DELETE", "/v1/collections/main/persons/ann").status == 204
        verify = {"Idempotency-Key": "stored-verify"}
        again = server("POST", "/v1/collections/main/verify", facts["replays"]["verify"], headers=verify)
        assert again.status == 404
        with server.provider.database.reading() as connection:
            assert connection.scalars(select(answered.c.person_id)).all() == []
            assert not [body for body in connection.scalars(select(answers.c.body)) if "ann" in body or "gone" in body]


def test_old_templates_are_bound_to_names_once(provider_home: Path) -> None:
    for _ in range(2):
        provider = Provider.open(provider_home)
        try:
            with provider.database.reading() as connection:
                assert schema_version(connection) == len(STEPS)
                place = provider.store.collection(connection, "main")
                ann = provider.store.person(connection, place, "ann")
            assert [template.row is not None for template in ann.templates] == [True, True]
        finally:
            provider.close()
    database = Database(f"sqlite:///{provider_home / 'provider.sqlite'}")
    with database.writing() as connection:
        connection.execute(text("UPDATE persons SET name = 'x' WHERE name = 'ann' AND collection_id = 1"))
        connection.execute(text("UPDATE persons SET name = 'ann' WHERE name = 'bob'"))
    database.close()
    provider = Provider.open(provider_home)
    try:
        with provider.database.reading() as connection, pytest.raises(ServiceError, match="store: template"):
            provider.store.person(connection, place, "ann")
    finally:
        provider.close()


def test_an_old_audit_log_cannot_be_rewritten(provider_home: Path) -> None:
    database = Database(f"sqlite:///{provider_home / 'provider.sqlite'}")
    statement = "INSERT OR REPLACE INTO audit (id, at, request_id, action, outcome) VALUES (1, 0, 'r', 'a', 'x')"
    with pytest.raises(Exception, match="append-only"), database.writing() as connection:
        connection.execute(text(statement))
    database.close()


def test_an_old_homes_files_become_private(provider_home: Path) -> None:
    Provider.open(provider_home).close()
    assert {
        path.name: oct(path.stat().st_mode & 0o777) for path in provider_home.iterdir() if path.stat().st_mode & 0o077
    } == {}


def test_an_old_back_up_is_restored(tmp_path: Path) -> None:
    (tmp_path / "b.tar").write_bytes(gzip.decompress((STORED / "backup.tar.gz").read_bytes()))
    assert restore(tmp_path / "b.tar", tmp_path / "new") == []
    provider = Provider.open(tmp_path / "new")
    try:
        with provider.database.reading() as connection:
            second = provider.store.collection(connection, "second")
            assert provider.store.persons(connection, second, after="", count=9) == ["ann"]
            assert provider.store.person(connection, second, "ann").templates[0].row is not None
    finally:
        provider.close()


def test_an_argon2_token_without_its_extra_says_which(
    provider_home: Path, facts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "argon2", None)
    database = Database(f"sqlite:///{provider_home / 'provider.sqlite'}")
    with pytest.raises(ServiceError, match=r"facemin\[argon2\]") as caught:
        TokenAuthenticator(database).admit(facts["tokens"]["admin"])
    assert (caught.value.status, caught.value.code) == (503, "token_needs_argon2")
    database.close()

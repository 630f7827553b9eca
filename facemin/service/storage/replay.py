"""Replay protection: challenges, uploads within a window, and answers to requests with an idempotency key."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from facemin.service.api.errors import ServiceError, bad_input, conflict
from facemin.service.storage.tables import answered, answers, challenges, persons, seen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import ColumnElement, Connection


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was answered to a request."""

    status: int
    body: str
    people: frozenset[int] = frozenset()
    """Numbers of the persons it names: with any of them it is forgotten."""


def make_challenge(connection: Connection, token_id: str, *, seconds: float, most: int) -> tuple[str, float]:
    """A challenge for one verify or identify of one token, and when it ends (seconds since 1970 UTC).

    Args:
        connection: a writing transaction.
        token_id: who may use it.
        seconds: how long.
        most: challenges one token may have open.

    Raises:
        ServiceError: the token has too many open ones (429).
    """
    now = time.time()
    connection.execute(challenges.delete().where(challenges.c.expires <= now))
    mine = select(challenges.c.digest).where(challenges.c.token_id == token_id).limit(most)
    if len(connection.scalars(mine).all()) >= most:
        raise ServiceError(
            429, "too_many_challenges", f"challenge: expected fewer than {most} open ones, got one more", retry_after=10
        )
    text = secrets.token_urlsafe(32)
    values = {"digest": _digest(text), "token_id": token_id, "expires": now + seconds}
    connection.execute(challenges.insert().values(values))
    return text, now + seconds


def check_challenge(connection: Connection, text: str, token_id: str) -> None:
    """Raises ServiceError (409) unless a challenge is open, before any work is done for it."""
    mine = (challenges.c.digest == _digest(text)) & (challenges.c.token_id == token_id)
    if connection.scalar(select(challenges.c.expires).where(mine, challenges.c.expires > time.time())) is None:
        raise _wrong_challenge()


def spend_challenge(connection: Connection, text: str, token_id: str) -> None:
    """Use up a challenge.

    Raises:
        ServiceError: it was used before, has ended, or is another token's (409).
    """
    mine = (challenges.c.digest == _digest(text)) & (challenges.c.token_id == token_id)
    if connection.execute(challenges.delete().where(mine, challenges.c.expires > time.time())).rowcount != 1:
        raise _wrong_challenge()


def remember_uploads(connection: Connection, digests: Iterable[bytes], *, seconds: float, refuse: bool) -> None:
    """Note the keyed hashes of uploads.

    Args:
        connection: a writing transaction.
        digests: `Secrets.digest` of what was uploaded.
        seconds: how long they are remembered.
        refuse: whether one that is remembered already is an error.

    Raises:
        ServiceError: an upload was seen before within the window (409).
    """
    now = time.time()
    connection.execute(seen.delete().where(seen.c.expires <= now))
    for digest in digests:
        values = {"digest": digest.hex(), "expires": now + seconds}
        try:
            with connection.begin_nested():
                connection.execute(seen.insert().values(values))
        except IntegrityError:
            longer = (seen.c.digest == values["digest"]) & (seen.c.expires < values["expires"])
            connection.execute(seen.update().where(longer).values(expires=values["expires"]))
            if refuse:
                raise conflict(
                    "replayed_upload",
                    "upload: expected one that was not sent before, got a known one; protect the photo anew",
                ) from None


def recall(connection: Connection, token_id: str, key: str, request: bytes) -> Answer | None:
    """The answer given to this request of this token before, or None.

    Args:
        connection: any transaction.
        token_id: whose request.
        key: its idempotency key.
        request: its content.

    Raises:
        ServiceError: the key was used for another request (422), or the answer named a person who was deleted since
            (404).
    """
    mine = (answers.c.token_id == token_id) & (answers.c.key == key)
    row = connection.execute(select(answers).where(mine, answers.c.expires > time.time())).one_or_none()
    if row is None:
        return None
    if row.request != sha256(request).hexdigest():
        raise bad_input("Idempotency-Key: expected a new one for another request, got a used one", code="key_reused")
    if not row.body:
        raise ServiceError(
            404,
            "person_not_found",
            "request: expected one whose answer can be given again, got one that named a person who was deleted since",
        )
    return Answer(status=row.status, body=row.body)


def keep(connection: Connection, token_id: str, key: str, request: bytes, answer: Answer, *, seconds: float) -> None:
    """Remember an answer in the transaction of what it answers.

    Raises:
        IntegrityError: the same request is answered in another thread at this moment.
    """
    now = time.time()
    connection.execute(answers.delete().where(answers.c.expires <= now))
    values = {
        "token_id": token_id,
        "key": key,
        "request": sha256(request).hexdigest(),
        "status": answer.status,
        "body": answer.body,
        "expires": now + seconds,
    }
    connection.execute(answers.insert().values(values))
    if answer.people:
        named = [{"token_id": token_id, "key": key, "person_id": person} for person in sorted(answer.people)]
        connection.execute(answered.insert(), named)


def forget_answers(connection: Connection, whose: ColumnElement[bool]) -> None:
    """Take the content out of every remembered answer that names certain persons.

    What stays of one is that it was given, so that the same request again is refused and not done anew: a retry must
    not enrol a deleted person again.

    Args:
        connection: a writing transaction.
        whose: tells these persons, as a condition on `persons`.
    """
    named = (
        select(answered.c.token_id, answered.c.key)
        .join(persons, persons.c.id == answered.c.person_id)
        .where(whose)
        .distinct()
    )
    for token_id, key in connection.execute(named).all():
        _empty(connection, token_id, key)
        mine = (answered.c.token_id == token_id) & (answered.c.key == key)
        connection.execute(answered.delete().where(mine))


def link_old_answers(connection: Connection) -> None:
    """Note whom the answers name that a version remembered which did not note it.

    They do not tell in which collection, so a name counts in each; an answer whose person is gone is emptied.
    """
    for row in connection.execute(select(answers)).all():
        names = _names(json.loads(row.body))
        found = connection.execute(select(persons.c.id, persons.c.name).where(persons.c.name.in_(names))).all()
        if names - {person.name for person in found}:
            _empty(connection, row.token_id, row.key)
        elif found:
            named = [{"token_id": row.token_id, "key": row.key, "person_id": person.id} for person in found]
            connection.execute(answered.insert(), named)


def _names(body: dict[str, Any]) -> set[str]:
    """The persons in the body of an answer to enrol, verify or identify."""
    if "person" in body:
        return {body["person"]}
    return {decision["person"] for decisions in body.get("results", []) for decision in decisions}


def _empty(connection: Connection, token_id: str, key: str) -> None:
    mine = (answers.c.token_id == token_id) & (answers.c.key == key)
    connection.execute(update(answers).where(mine).values(status=404, body=""))


def _digest(text: str) -> str:
    # random texts of 256 bits: a plain hash of one tells nothing
    return sha256(text.encode()).hexdigest()


def _wrong_challenge() -> ServiceError:
    return conflict(
        "wrong_challenge", "challenge: expected one that is open, of this token, got a used, ended or unknown one"
    )

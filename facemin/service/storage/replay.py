"""What may happen once only: challenges, uploads within a window, and requests with an idempotency key."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from facemin.service.api.errors import ServiceError, bad_input, conflict
from facemin.service.storage.tables import answers, challenges, seen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What was answered to a request."""

    status: int
    body: str


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
        ServiceError: the key was used for another request (422).
    """
    mine = (answers.c.token_id == token_id) & (answers.c.key == key)
    row = connection.execute(select(answers).where(mine, answers.c.expires > time.time())).one_or_none()
    if row is None:
        return None
    if row.request != sha256(request).hexdigest():
        raise bad_input("Idempotency-Key: expected a new one for another request, got a used one", code="key_reused")
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


def _digest(text: str) -> str:
    # random texts of 256 bits: a plain hash of one tells nothing
    return sha256(text.encode()).hexdigest()


def _wrong_challenge() -> ServiceError:
    return conflict(
        "wrong_challenge", "challenge: expected one that is open, of this token, got a used, ended or unknown one"
    )

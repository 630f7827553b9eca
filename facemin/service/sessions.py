"""Sessions: short-lived tokens that an app's backend makes for a page, bound to one collection and one person.

A session is `fms_ID_SECRET`, stored as tokens are: its ID and the SHA-256 of its secret. It ends with its time, with
the long-lived token that made it, and with what it was made for (`storage.session_ends`). What it may reach is named
here, path by path; every other endpoint is closed to it.
"""

from __future__ import annotations

import re
import secrets
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from facemin.service.api.errors import ServiceError, not_found
from facemin.service.storage.tables import sessions, tokens
from facemin.service.tokens import Session, Token, secret_hash

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from facemin.service.storage.session_ends import Ending
    from facemin.service.tokens import Scope, SessionScope

MOST_OPEN = 10_000
"""Sessions of one token at once."""

_GRANTS: dict[SessionScope, tuple[Scope, ...]] = {"self": ("enrol", "verify"), "identify": ("identify",)}
"""Each in the session's collection. What else a session may do its endpoint says (`Allowed(..., own=True)`)."""

_ENDED: dict[Ending, tuple[str, str]] = {
    "deleted": ("session_deleted", "the person, or the collection, was deleted"),
    "replaced": ("session_replaced", "the person's enrolment was replaced by another request than its own"),
}
"""Code and reason of the refusal."""

_HERE, _OWN = "/v1/collections/{collection}", "/v1/collections/{collection}/persons/{person}"
REACHABLE: dict[SessionScope, frozenset[tuple[str, str]]] = {
    "self": frozenset(
        {
            ("POST", "/v1/challenges"),
            ("POST", f"{_HERE}/persons"),
            ("POST", f"{_HERE}/verify"),
            ("GET", _OWN),
            ("DELETE", _OWN),
            ("POST", f"{_OWN}/renew"),
        }
    ),
    "identify": frozenset({("POST", "/v1/challenges"), ("POST", f"{_HERE}/identify")}),
}
"""Method and path of every endpoint behind a token that a session reaches, with its own collection and person in it."""


def make_session(
    connection: Connection, parent: Token, scope: SessionScope, collection: str, person: str | None, *, seconds: float
) -> tuple[Token, str]:
    """Make a session; its text is returned here and can never be read again.

    Args:
        connection: a writing transaction.
        parent: a long-lived token that may.
        scope: what for.
        collection: where; not checked here.
        person: whom it is bound to, for the scope self.
        seconds: how long; never longer than the parent.

    Raises:
        ServiceError: a person with identify, or none with self (422); the parent has too many open ones (429).
    """
    if (person is not None) != (scope == "self"):
        raise ServiceError(
            422,
            "invalid_request",
            f"person: expected {'one for the scope self' if scope == 'self' else 'none for the scope identify'}, "
            f"got {'none' if person is None else 'one'}",
        )
    now = time.time()
    connection.execute(sessions.delete().where(sessions.c.expires <= now))
    still_open = (sessions.c.parent_id == parent.id) & sessions.c.ended.is_(None)
    open_now = connection.scalar(select(func.count()).where(still_open)) or 0
    if open_now >= MOST_OPEN:
        raise ServiceError(
            429,
            "too_many_sessions",
            f"session: expected fewer than {MOST_OPEN} open ones, got one more",
            retry_after=60,
        )
    session_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    values = {
        "id": session_id,
        "parent_id": parent.id,
        "hash": secret_hash(secret),
        "scope": scope,
        "collection": collection,
        "person": person,
        "created": now,
        "expires": min(now + seconds, parent.expires if parent.expires is not None else now + seconds),
    }
    connection.execute(sessions.insert().values(values))
    made = session_row(connection, session_id)
    assert made is not None
    return session_token(made), f"fms_{session_id}_{secret}"


def end_session(connection: Connection, parent: Token, session_id: str) -> None:
    """Refuse a session from now on.

    Raises:
        ServiceError: the token made none of that id, or it has expired (404).
    """
    mine = (sessions.c.id == session_id) & (sessions.c.parent_id == parent.id)
    if connection.execute(sessions.delete().where(mine)).rowcount == 0:
        raise not_found("session", session_id)


def session_row(connection: Connection, session_id: str) -> Row[Any] | None:
    """What is stored of a session whose parent is neither revoked nor expired, with a token's columns."""
    parent = (tokens.c.id == sessions.c.parent_id) & (tokens.c.expires.is_(None) | (tokens.c.expires > time.time()))
    wanted = select(sessions, tokens.c.revoked, tokens.c.name).join(tokens, parent).where(sessions.c.id == session_id)
    return connection.execute(wanted).one_or_none()


def session_token(row: Row[Any]) -> Token:
    """The session that a row of `session_row` holds, as a caller.

    Raises:
        ServiceError: it has ended with what it was made for (401).
    """
    if row.ended is not None:
        code, why = _ENDED[row.ended]
        raise ServiceError(401, code, f"session: expected one that goes on, got one that ended when {why}")
    scope: SessionScope = row.scope
    return Token(
        id=row.id,
        name=row.name,
        grants=frozenset((granted, row.collection) for granted in _GRANTS[scope]),
        expires=row.expires,
        revoked=row.revoked,
        session=Session(parent=row.parent_id, scope=scope, collection=row.collection, person=row.person),
    )


def check_reach(session: Session, method: str, path: str) -> None:
    """Refuse an endpoint that is not named in `REACHABLE`, or is of another collection or person.

    Raises:
        ServiceError: it is (403).
    """
    filled = {
        (verb, place.format(collection=session.collection, person=session.person))
        for verb, place in REACHABLE[session.scope]
    }
    if (method, path) in filled:
        return
    own = re.escape(f"/v1/collections/{session.collection}/persons/")
    if session.scope == "self" and re.match(own, path):
        raise other_person()
    raise ServiceError(403, "forbidden", "session: expected a request that its scope allows, got another one")


def check_subject(token: Token, person: str | None, *, collection: str | None = None, needed: bool = True) -> None:
    """Refuse what a session says of somebody else, or of another collection, in a body or a query.

    Args:
        token: of the caller; long-lived ones may name anybody.
        person: whom the request names.
        collection: which one it names, where its path does not.
        needed: whether a session of scope self has to name its person.

    Raises:
        ServiceError: it names another one (403).
    """
    bound = token.session
    if bound is None:
        return
    if collection is not None and collection != bound.collection:
        raise ServiceError(403, "forbidden", "session: expected its own collection, got another one")
    if person != bound.person and (needed or person is not None):
        raise other_person()


def other_person() -> ServiceError:
    """The refusal where a session speaks of somebody else."""
    return ServiceError(403, "other_person", "session: expected the person it was made for, got another or none")

"""Tokens: who a caller is, and what they may do in which collection.

A token is `fmt_ID_SECRET`. The store keeps the ID and an argon2id hash of the secret, which has 256 random bits.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, get_args

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import select, update

from facemin.service.api.errors import ServiceError, not_found
from facemin.service.storage.tables import tokens

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Row

    from facemin.service.storage.database import Database

Scope = Literal["enrol", "verify", "identify", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
EVERYWHERE = "*"
"""In place of a collection's name: every collection, and what belongs to none."""

_FORM = re.compile(r"fmt_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_COLLECTION = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
# OWASP's least setting for argon2id (19 MiB, two passes): the secret is random, so guessing is hopeless anyway
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_NOBODY = _HASHER.hash(secrets.token_urlsafe(32))
"""Verified in place of an unknown token's hash, so that its absence takes as long."""


@dataclass(frozen=True, kw_only=True)
class Token:
    """A caller.

    Args:
        id: names the token in logs; no secret.
        name: what it is for, in words.
        grants: pairs of scope and collection, or `EVERYWHERE`.
        expires: seconds since 1970 UTC; None for never.
    """

    id: str
    name: str
    grants: frozenset[tuple[Scope, str]]
    expires: float | None = None
    revoked: float | None = None

    def may(self, scope: Scope, collection: str | None) -> bool:
        """Whether a scope is granted in a collection; None asks for what belongs to no collection."""
        return (scope, EVERYWHERE) in self.grants or (collection is not None and (scope, collection) in self.grants)

    def sees(self, collection: str) -> bool:
        """Whether anything at all is granted in a collection."""
        return any(place in (EVERYWHERE, collection) for _, place in self.grants)


def parse_grant(text: str) -> tuple[Scope, str]:
    """Read "scope" (everywhere) or "scope:collection".

    Raises:
        ValueError: another scope, or a name that no collection can have.
    """
    scope, _, collection = text.partition(":")
    collection = collection or EVERYWHERE
    for known in SCOPES:
        if scope == known and (collection == EVERYWHERE or _COLLECTION.fullmatch(collection)):
            return known, collection
    raise ValueError(f"grant: expected one of {', '.join(SCOPES)}, with :COLLECTION or without, got {text!r:.100}")


def make_token(
    connection: Connection, name: str, grants: frozenset[tuple[Scope, str]], *, expires: float | None = None
) -> tuple[Token, str]:
    """Make a token; its text is returned here and can never be read again.

    Raises:
        ValueError: a name out of 1 to 100 characters, or no grants.
    """
    if not 1 <= len(name) <= 100 or not grants:
        raise ValueError(f"token: expected a name of 1 to 100 characters and a grant, got {name!r:.120}, {len(grants)}")
    token = Token(id=secrets.token_hex(8), name=name, grants=grants, expires=expires)
    secret = secrets.token_urlsafe(32)
    values = {
        "id": token.id,
        "name": name,
        "hash": _HASHER.hash(secret),
        "grants": json.dumps(sorted(grants)),
        "created": time.time(),
        "expires": expires,
    }
    connection.execute(tokens.insert().values(values))
    return token, f"fmt_{token.id}_{secret}"


def revoke_token(connection: Connection, token_id: str) -> None:
    """Refuse a token from now on.

    Raises:
        ServiceError: there is none of that id (404).
    """
    gone = update(tokens).where(tokens.c.id == token_id, tokens.c.revoked.is_(None)).values(revoked=time.time())
    if connection.execute(gone).rowcount == 0 and _row(connection, token_id) is None:
        raise not_found("token", token_id)


def list_tokens(connection: Connection) -> list[Token]:
    """All of them, the oldest first, revoked ones too."""
    return [_token(row) for row in connection.execute(select(tokens).order_by(tokens.c.created, tokens.c.id))]


class Doorkeeper:
    """Tells whose token a text is.

    A text that was right is remembered by a keyed hash, so that argon2's 19 MiB are spent once and not at each
    request; whether the token is revoked or expired is read from the database every time.

    Args:
        database: where tokens are.
        most: texts remembered.
    """

    def __init__(self, database: Database, *, most: int = 4096) -> None:
        self._database, self._most = database, most
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()
        # each verification takes 19 MiB
        self._slots = threading.BoundedSemaphore(4)

    def admit(self, text: str, before_hashing: Callable[[], None] = lambda: None) -> Token:
        """The token of that text.

        Args:
            text: as the caller sent it.
            before_hashing: called where the text was not admitted by this process before; what it raises is raised.

        Raises:
            ServiceError: unknown, wrong, revoked or expired (401), always in the same words.
        """
        match = _FORM.fullmatch(text)
        token_id, secret = match.groups() if match else ("", "")
        with self._database.reading() as connection:
            row = _row(connection, token_id)
        hashed = row.hash if row is not None else None
        right = self._was_right(token_id, secret, hashed)
        if not right:
            before_hashing()
            right = self._is_right(token_id, secret, hashed)
        if not right or row is None or row.revoked is not None or _past(row.expires):
            raise ServiceError(
                401, "unauthorised", "token: expected a valid bearer token, got an unknown, expired or revoked one"
            )
        return _token(row)

    def _mark(self, secret: str, hashed: str | None) -> bytes:
        """What is remembered of a secret that was right for a hash."""
        return hmac.digest(self._key, f"{secret} {hashed}".encode(), sha256)

    def _was_right(self, token_id: str, secret: str, hashed: str | None) -> bool:
        with self._lock:
            known = self._known.get(token_id)
        return known is not None and hmac.compare_digest(known, self._mark(secret, hashed))

    def _is_right(self, token_id: str, secret: str, hashed: str | None) -> bool:
        with self._slots:
            try:
                _HASHER.verify(hashed or _NOBODY, secret)
            except (VerificationError, InvalidHashError):
                return False
        with self._lock:
            self._known[token_id] = self._mark(secret, hashed)
            self._known.move_to_end(token_id)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return True


def _past(moment: float | None) -> bool:
    return moment is not None and time.time() >= moment


def _row(connection: Connection, token_id: str) -> Row[Any] | None:
    return connection.execute(select(tokens).where(tokens.c.id == token_id)).one_or_none()


def _token(row: Row[Any]) -> Token:
    grants = frozenset((scope, collection) for scope, collection in json.loads(row.grants))
    return Token(id=row.id, name=row.name, grants=grants, expires=row.expires, revoked=row.revoked)

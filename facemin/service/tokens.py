"""Tokens: who a caller is, and what they may do in which collection.

A token is `fmt_ID_SECRET`. The store keeps the ID and the SHA-256 of the secret, which has 256 random bits: nobody can
guess it, so a slow hash would protect nothing and cost every server its memory. Version 0.1 kept argon2id hashes. One
more release verifies them, where the extra `argon2` is installed, and rewrites each at its first use.
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
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

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
_PLAIN, _ARGON2 = "sha256$", "$argon2"
"""How the two forms of a stored hash begin."""


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
        "hash": _hash(secret),
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


class Claim(NamedTuple):
    """A caller whose secret was right for a token as this process last read it; `confirm` tells whether it still is."""

    token: Token
    hash: str


class Doorkeeper:
    """Tells whose token a text is.

    A token that was admitted is remembered, so that a request whose endpoint reads the database anyway need not read
    it twice: `recognise` asks this process's memory alone, and `confirm` the endpoint's own transaction.

    Args:
        database: where tokens are.
        most: tokens remembered.
    """

    def __init__(self, database: Database, *, most: int = 4096) -> None:
        self._database, self._most = database, most
        self._known: OrderedDict[str, Claim] = OrderedDict()
        self._lock = threading.Lock()
        # each verification of an argon2 hash takes 19 MiB
        self._slots = threading.BoundedSemaphore(2)

    def recognise(self, text: str) -> Claim | None:
        """Whose text it is, as far as this process remembers; whether that still holds has to be confirmed."""
        match = _FORM.fullmatch(text)
        with self._lock:
            claim = self._known.get(match[1]) if match else None
        return claim if match and claim is not None and _is_right(match[2], claim.hash) else None

    def confirm(self, connection: Connection, claim: Claim) -> Token:
        """The token of a claim, in a transaction of the caller's.

        Raises:
            ServiceError: it is revoked, expired, or not there any more (401).
        """
        row = _row(connection, claim.token.id)
        if row is None or row.hash != claim.hash or not _valid(row):
            raise _unauthorised()
        return _token(row)

    def admit(self, text: str, before_hashing: Callable[[str], None] = lambda _: None) -> Token:
        """The token of that text, as the database has it.

        Args:
            text: as the caller sent it.
            before_hashing: called with the token's id where an argon2 hash has to be computed; what it raises is
                raised.

        Raises:
            ServiceError: unknown, wrong, revoked or expired (401), always in the same words; or an argon2 hash without
                the extra that reads it (503).
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise _unauthorised()
        token_id, secret = match.groups()
        with self._database.reading() as connection:
            row = _row(connection, token_id)
        if row is None or not _valid(row):
            raise _unauthorised()
        if row.hash.startswith(_ARGON2):
            before_hashing(token_id)
            with self._slots:
                right = _argon2_is_right(secret, row.hash)
            if right:
                self._rewrite(token_id, row.hash, secret)
        else:
            right = _is_right(secret, row.hash)
        if not right:
            raise _unauthorised()
        token = _token(row)
        with self._lock:
            self._known[token_id] = Claim(token, _hash(secret))
            self._known.move_to_end(token_id)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return token

    def _rewrite(self, token_id: str, before: str, secret: str) -> None:
        mine = (tokens.c.id == token_id) & (tokens.c.hash == before)
        with self._database.writing() as connection:
            connection.execute(update(tokens).where(mine).values(hash=_hash(secret)))


def _hash(secret: str) -> str:
    return _PLAIN + sha256(secret.encode()).hexdigest()


def _is_right(secret: str, stored: str) -> bool:
    return hmac.compare_digest(_hash(secret), stored)


def _argon2_is_right(secret: str, stored: str) -> bool:
    try:
        from argon2 import PasswordHasher
        from argon2.exceptions import InvalidHashError, VerificationError
    except ImportError:
        raise ServiceError(
            503,
            "token_needs_argon2",
            "token: expected one of this version, got one whose hash needs the extra argon2 "
            "(pip install 'facemin[argon2]') for its next use; or make a new one",
        ) from None
    try:
        return PasswordHasher().verify(stored, secret)
    except (VerificationError, InvalidHashError):
        return False


def _unauthorised() -> ServiceError:
    return ServiceError(
        401, "unauthorised", "token: expected a valid bearer token, got an unknown, expired or revoked one"
    )


def _valid(row: Row[Any]) -> bool:
    return row.revoked is None and (row.expires is None or time.time() < row.expires)


def _row(connection: Connection, token_id: str) -> Row[Any] | None:
    return connection.execute(select(tokens).where(tokens.c.id == token_id)).one_or_none()


def _token(row: Row[Any]) -> Token:
    grants = frozenset((scope, collection) for scope, collection in json.loads(row.grants))
    return Token(id=row.id, name=row.name, grants=grants, expires=row.expires, revoked=row.revoked)

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
import time
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, get_args

from sqlalchemy import select, update

from facemin.service.api.errors import ServiceError, not_found
from facemin.service.storage.tables import tokens

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

Scope = Literal["enrol", "verify", "identify", "admin", "session"]
"""`session`: make sessions, short-lived tokens for a page (`facemin.service.sessions`)."""
SessionScope = Literal["self", "identify"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
EVERYWHERE = "*"
"""In place of a collection's name: every collection, and what belongs to none."""
LONGEST_DAYS = 36_500
LONGEST = LONGEST_DAYS * 86_400.0
"""Seconds that a token may be valid; a hundred years."""

_COLLECTION = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_PLAIN = "sha256$"
"""How a stored hash begins; those of version 0.1 begin otherwise."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """What binds a token that lies in a page.

    Args:
        parent: id of the long-lived token that made it, with which it ends.
        scope: "self" for what concerns one person: enrol, verify, renew, show, delete; "identify" for that alone.
        collection: the only one.
        person: the only one, for the scope self; None for identify.
    """

    parent: str
    scope: SessionScope
    collection: str
    person: str | None


@dataclass(frozen=True, kw_only=True)
class Token:
    """A caller.

    Args:
        id: names the token in logs; no secret.
        name: what it is for, in words.
        grants: pairs of scope and collection, or `EVERYWHERE`.
        expires: seconds since 1970 UTC; None for never.
        revoked: likewise.
        session: what binds it, where it is a page's; None for a long-lived one.
    """

    id: str
    name: str
    grants: frozenset[tuple[Scope, str]]
    expires: float | None = None
    revoked: float | None = None
    session: Session | None = None

    def may(self, scope: Scope, collection: str | None) -> bool:
        """Whether a scope is granted in a collection; None asks for what belongs to no collection."""
        return (scope, EVERYWHERE) in self.grants or (collection is not None and (scope, collection) in self.grants)

    def owns(self, collection: str | None, person: str | None) -> bool:
        """Whether it is a session of that very person."""
        bound = self.session
        return (
            bound is not None and bound.person is not None and (bound.collection, bound.person) == (collection, person)
        )

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
        ValueError: a name out of 1 to 100 printable characters, or no grants.
        ServiceError: an end that is past, or no time (422).
    """
    if not 1 <= len(name) <= 100 or not name.isprintable() or not grants:
        raise ValueError(
            f"token: expected a name of 1 to 100 printable characters and a grant, got {name!r:.120}, {len(grants)}"
        )
    # a time that is none would never end, and one beyond the calendar could never be listed
    if expires is not None and not 0 < expires - time.time() <= LONGEST:
        raise ServiceError(
            422, "invalid_request", "expires: expected a time to come within a hundred years, or none, got another"
        )
    token = Token(id=secrets.token_hex(8), name=name, grants=grants, expires=expires)
    secret = secrets.token_urlsafe(32)
    values = {
        "id": token.id,
        "name": name,
        "hash": secret_hash(secret),
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
    if connection.execute(gone).rowcount == 0 and token_row(connection, token_id) is None:
        raise not_found("token", token_id)


def list_tokens(connection: Connection) -> list[Token]:
    """All of them, the oldest first, revoked ones too."""
    return [token_of(row) for row in connection.execute(select(tokens).order_by(tokens.c.created, tokens.c.id))]


def secret_hash(secret: str) -> str:
    """What is stored of a secret of 256 random bits."""
    return _PLAIN + sha256(secret.encode()).hexdigest()


def is_right(secret: str, stored: str) -> bool:
    """Whether a secret is the one whose hash is stored, in constant time."""
    return hmac.compare_digest(secret_hash(secret), stored)


def token_row(connection: Connection, token_id: str) -> Row[Any] | None:
    """What is stored of a token, revoked or not."""
    return connection.execute(select(tokens).where(tokens.c.id == token_id)).one_or_none()


def token_of(row: Row[Any]) -> Token:
    """The token that a row of `tokens` holds."""
    grants = frozenset((scope, collection) for scope, collection in json.loads(row.grants))
    return Token(id=row.id, name=row.name, grants=grants, expires=row.expires, revoked=row.revoked)

"""Authentication of callers: whose token or session a text is."""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import update

from facemin.service.api.errors import ServiceError
from facemin.service.sessions import session_row, session_token
from facemin.service.storage.tables import tokens
from facemin.service.tokens import Token, is_right, secret_hash, token_of, token_row

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Row

    from facemin.service.storage.database import Database

_FORM = re.compile(r"(fm[ts]_[0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_ARGON2 = "$argon2"
"""How a hash of version 0.1 begins."""


class Claim(NamedTuple):
    """A caller whose secret was right for a token as this process last read it; `confirm` tells whether it still is."""

    token: Token
    hash: str


class TokenAuthenticator:
    """Tells whose token or session a text is.

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
        return claim if match and claim is not None and is_right(match[2], claim.hash) else None

    def confirm(self, connection: Connection, claim: Claim) -> Token:
        """The token of a claim, in a transaction of the caller's.

        Raises:
            ServiceError: it is revoked, expired, not there any more, or has ended (401).
        """
        known = claim.token
        row = _row(connection, known.id, session=known.session is not None)
        if row is None or row.hash != claim.hash or not _valid(row):
            raise _unauthorised()
        return session_token(row) if known.session is not None else token_of(row)

    def admit(self, text: str, before_hashing: Callable[[str], None] = lambda _: None) -> Token:
        """The token of that text, as the database has it.

        Args:
            text: as the caller sent it.
            before_hashing: called with the token's id where an argon2 hash has to be computed; what it raises is
                raised.

        Raises:
            ServiceError: unknown, wrong, revoked or expired (401), always in the same words; a session that ended with
                what it was made for (401); or an argon2 hash without the extra that reads it (503).
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise _unauthorised()
        name, secret = match.groups()
        session, token_id = name.startswith("fms"), name[4:]
        with self._database.reading() as connection:
            row = _row(connection, token_id, session=session)
        if row is None or not _valid(row):
            raise _unauthorised()
        if row.hash.startswith(_ARGON2):
            before_hashing(token_id)
            with self._slots:
                right = _argon2_is_right(secret, row.hash)
            if right:
                self._rewrite(token_id, row.hash, secret)
        else:
            right = is_right(secret, row.hash)
        if not right:
            raise _unauthorised()
        token = session_token(row) if session else token_of(row)
        with self._lock:
            self._known[name] = Claim(token, secret_hash(secret))
            self._known.move_to_end(name)
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return token

    def _rewrite(self, token_id: str, before: str, secret: str) -> None:
        mine = (tokens.c.id == token_id) & (tokens.c.hash == before)
        with self._database.writing() as connection:
            connection.execute(update(tokens).where(mine).values(hash=secret_hash(secret)))


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


def _row(connection: Connection, token_id: str, *, session: bool) -> Row[Any] | None:
    return session_row(connection, token_id) if session else token_row(connection, token_id)

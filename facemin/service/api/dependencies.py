"""Endpoint dependencies: the provider, and a principal with the scope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Depends, Header, Request
from sqlalchemy.exc import IntegrityError

from facemin.service.api.errors import ServiceError, conflict
from facemin.service.provider import Provider
from facemin.service.storage import audit_log as audit
from facemin.service.storage.replay import Answer, keep, recall
from facemin.service.token_authenticator import Claim
from facemin.service.tokens import Scope, Token

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    from sqlalchemy import Connection


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    provider: Provider
    token: Token
    request_id: str

    def note(self, connection: Connection, action: str, outcome: str, **about: Unpack[audit.About]) -> None:
        """Append to the audit log."""
        audit.record(connection, action, outcome, request_id=self.request_id, token_id=self.token.id, **about)

    def refuse(self, error: ServiceError, action: str, *, collection: str, person: str | None = None) -> None:
        """Write into the log that an upload was refused."""
        self.provider.telemetry.decision(action, error.code)
        with self.provider.database.writing() as connection:
            self.note(connection, action, error.code, collection=collection, person=person)


@dataclass(frozen=True)
class Claimant:
    """Who says they ask, until their token is confirmed in the transaction that answers them."""

    provider: Provider
    claim: Claim
    request_id: str
    rule: AccessRule
    collection: str | None

    def confirmed(self, connection: Connection) -> Caller:
        """The caller.

        Raises:
            ServiceError: the token is revoked or expired (401), or may not do this (403).
        """
        token = self.provider.authenticator.confirm(connection, self.claim)
        self.rule.check(token, self.collection)
        return Caller(self.provider, token, self.request_id)


@dataclass(frozen=True)
class AccessRule:
    """Which tokens may.

    Args:
        scopes: any one of them is enough; none asks only for a valid token.
        where: "here" in the collection that the path names, "everywhere" in all, "anywhere" in at least one.
        own: a session of the person that the path names may as well.
    """

    scopes: tuple[Scope, ...]
    where: Literal["here", "everywhere", "anywhere"] = "here"
    own: bool = False

    def check(self, token: Token, collection: str | None, person: str | None = None) -> None:
        """Raises ServiceError (403) where the token may not do this."""
        if self.own and token.owns(collection, person):
            return
        if self.where == "anywhere":
            allowed = not self.scopes or any(scope in self.scopes for scope, _ in token.grants)
        else:
            place = collection if self.where == "here" else None
            allowed = any(token.may(scope, place) for scope in self.scopes)
        if not allowed:
            need = " or ".join(self.scopes)
            raise ServiceError(403, "forbidden", f"token: expected the scope {need} for this, got one without")


class Allowed(AccessRule):
    """A dependency: the caller, whose token the gate has read from the database."""

    def __call__(self, request: Request) -> Caller:
        """The caller.

        Raises:
            ServiceError: no token (401), or one that may not do this (403).
        """
        token: Token = _sent(request.state.token)
        self.check(token, request.path_params.get("collection"), request.path_params.get("person"))
        return Caller(request.app.state.provider, token, request.state.request_id)


class Claimed(AccessRule):
    """A dependency: the claimant, for endpoints whose own transaction confirms the token (`middleware.CONFIRM`)."""

    def __call__(self, request: Request) -> Claimant:
        """The claimant, whose token as remembered may do this.

        Raises:
            ServiceError: no token (401), or one that may not do this (403).
        """
        claim: Claim = _sent(request.state.claim)
        collection = request.path_params.get("collection")
        self.check(claim.token, collection)
        return Claimant(request.app.state.provider, claim, request.state.request_id, self, collection)


def _sent(found: Any) -> Any:
    if found is None:
        raise ServiceError(401, "unauthorised", "Authorization: expected 'Bearer TOKEN', got none")
    return found


def provider_of(request: Request) -> Provider:
    """The provider that this application serves."""
    provider: Provider = request.app.state.provider
    return provider


ProviderOf = Annotated[Provider, Depends(provider_of)]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[A-Za-z0-9._-]{8,80}$",
        description="The same key and request again get the first answer again, and nothing is done twice.",
    ),
]


def earlier(caller: Caller, connection: Connection, key: str | None, request: bytes) -> Answer | None:
    """The answer this very request was given before, or None."""
    return recall(connection, caller.token.id, key, request) if key is not None else None


def answered(caller: Caller, key: str | None, request: bytes, work: Callable[[Connection], Answer]) -> Answer:
    """Do something and remember the answer, in one transaction: both, or neither.

    Raises:
        ServiceError: what `work` raises; or the same request is being answered at this moment and failed (409).
    """
    database, token = caller.provider.database, caller.token.id
    try:
        with database.writing() as connection:
            if (found := earlier(caller, connection, key, request)) is not None:
                return found
            answer = work(connection)
            if key is not None:
                keep(connection, token, key, request, answer, seconds=caller.provider.settings.answer_seconds)
            return answer
    except IntegrityError:
        with database.reading() as connection:
            found = earlier(caller, connection, key, request)
        if found is None:
            raise conflict("try_again", "request: expected no other at the same time on the same rows") from None
        return found


def checked_far(provider: Provider, far: float, *, laxest: float = 1.0) -> float:
    """A FAR that was measured for every pair of kinds, and is no laxer than the collection's own.

    Raises:
        ServiceError: it was not measured, or is laxer (422).
    """
    try:
        provider.thresholds.check(far)
    except ValueError as error:
        raise ServiceError(422, "far_not_calibrated", str(error)) from None
    if far > laxest:
        raise ServiceError(
            422, "far_too_lax", f"far: expected at most the collection's own, {laxest:g}, got {far:g}; an admin sets it"
        )
    return far

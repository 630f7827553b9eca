"""What endpoints ask of a request: the provider, and a caller who may do this here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Depends, Header, Request
from sqlalchemy.exc import IntegrityError

from facemin.service.api.errors import ServiceError, conflict
from facemin.service.provider import Provider
from facemin.service.storage import audit_log as audit
from facemin.service.storage.replay import Answer, keep, recall
from facemin.service.tokens import Scope, Token

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    provider: Provider
    token: Token
    request_id: str

    def note(
        self,
        connection: Connection,
        action: str,
        outcome: str,
        *,
        collection: str | None = None,
        person: str | None = None,
    ) -> None:
        """Append to the audit log."""
        audit.record(
            connection,
            action,
            outcome,
            request_id=self.request_id,
            token_id=self.token.id,
            collection=collection,
            person=person,
        )

    def refuse(self, error: ServiceError, action: str, *, collection: str, person: str | None = None) -> None:
        """Write into the log that an upload was refused."""
        self.provider.telemetry.decision(action, error.code)
        with self.provider.database.writing() as connection:
            self.note(connection, action, error.code, collection=collection, person=person)


@dataclass(frozen=True)
class Allowed:
    """A dependency: the caller, who must have one of these scopes.

    Args:
        scopes: any one of them is enough; none asks only for a valid token.
        where: "here" in the collection that the path names, "everywhere" in all, "anywhere" in at least one.
    """

    scopes: tuple[Scope, ...]
    where: Literal["here", "everywhere", "anywhere"] = "here"

    def __call__(self, request: Request) -> Caller:
        """The caller.

        Raises:
            ServiceError: no token (401), or one that may not do this (403).
        """
        token: Token | None = request.state.token
        if token is None:
            raise ServiceError(401, "unauthorised", "Authorization: expected 'Bearer TOKEN', got none")
        collection = request.path_params.get("collection")
        if self.where == "anywhere":
            allowed = not self.scopes or any(scope in self.scopes for scope, _ in token.grants)
        else:
            place = collection if self.where == "here" else None
            allowed = any(token.may(scope, place) for scope in self.scopes)
        if not allowed:
            need = " or ".join(self.scopes)
            raise ServiceError(403, "forbidden", f"token: expected the scope {need} for this, got one without")
        return Caller(request.app.state.provider, token, request.state.request_id)


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


def earlier(caller: Caller, key: str | None, request: bytes) -> Answer | None:
    """The answer this very request was given before, or None."""
    if key is None:
        return None
    with caller.provider.database.reading() as connection:
        return recall(connection, caller.token.id, key, request)


def answered(caller: Caller, key: str | None, request: bytes, work: Callable[[Connection], Answer]) -> Answer:
    """Do something and remember the answer, in one transaction: both, or neither.

    Raises:
        ServiceError: what `work` raises; or the same request is being answered at this moment and failed (409).
    """
    database, token = caller.provider.database, caller.token.id
    try:
        with database.writing() as connection:
            if key is not None and (found := recall(connection, token, key, request)) is not None:
                return found
            answer = work(connection)
            if key is not None:
                keep(connection, token, key, request, answer, seconds=caller.provider.settings.answer_seconds)
            return answer
    except IntegrityError:
        found = earlier(caller, key, request)
        if found is None:
            raise conflict("try_again", "request: expected no other at the same time on the same rows") from None
        return found


def checked_far(provider: Provider, far: float) -> float:
    """A FAR that was measured for every pair of kinds.

    Raises:
        ServiceError: it was not (422); the message lists those that were.
    """
    try:
        provider.thresholds.check(far)
    except ValueError as error:
        raise ServiceError(422, "far_not_calibrated", str(error)) from None
    return far


def fields(row: Any, *names: str) -> dict[str, Any]:
    """Some attributes of an object, by name."""
    return {name: getattr(row, name) for name in names}

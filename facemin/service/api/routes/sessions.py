"""Endpoints on sessions, the short-lived tokens of pages: an app's backend makes one for each of its users' visits."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field

from facemin.service.api.dependencies import Allowed, Caller
from facemin.service.api.errors import ServiceError, bad_input
from facemin.service.api.fields import CollectionName, PersonName, Strict
from facemin.service.api.limits.bodies import ParsedRoute
from facemin.service.api.schemas import Moment
from facemin.service.sessions import end_session, make_session
from facemin.service.tokens import Scope, SessionScope


class NewSession(Strict):
    """A short-lived token for a page, which an app's backend asks for."""

    collection: CollectionName
    scope: SessionScope = Field(
        default="self", description="self: enrol, verify, renew, show and delete one person; identify: that alone."
    )
    person: PersonName | None = Field(default=None, description="Whom it is bound to; for self, and only there.")
    seconds: float | None = Field(
        default=None,
        ge=1,
        le=86_400,
        description="Validity, which the provider bounds; a quarter of an hour when null.",
    )


class SessionMade(BaseModel):
    """A new session; its text is shown here and never again."""

    token: str
    id: str
    scope: SessionScope
    collection: str
    person: str | None
    expires: Moment


DEFAULT_SECONDS = 900.0

router = APIRouter(prefix="/v1/sessions", tags=["sessions"], route_class=ParsedRoute)
Backend = Annotated[Caller, Depends(Allowed(("session",), "anywhere"))]


@router.post("", response_model=SessionMade, status_code=201)
def new_session(body: NewSession, caller: Backend) -> SessionMade:
    """Make a session for a page; it ends by itself, and with the token that made it.

    It also ends when its person or its collection is deleted, and when another request than its own puts something in
    the place of what is enrolled of its person. The token needs the scope session in the collection, and for identify
    that one too.
    """
    needed: tuple[Scope, ...] = ("session", "identify") if body.scope == "identify" else ("session",)
    for scope in needed:
        if not caller.token.may(scope, body.collection):
            raise ServiceError(
                403, "forbidden", f"token: expected the scope {scope} in {body.collection}, got one without"
            )
    most = caller.provider.settings.session_seconds
    seconds = min(DEFAULT_SECONDS, most) if body.seconds is None else body.seconds
    if seconds > most:
        raise bad_input(f"seconds: expected at most {most:g}, got {seconds:g}", code="session_too_long")
    store = caller.provider.store
    with store.database.writing() as connection:
        # a collection that goes meanwhile would leave one behind that counts in the next of its name
        store.collection(connection, body.collection, hold=True)
        made, text = make_session(connection, caller.token, body.scope, body.collection, body.person, seconds=seconds)
        caller.note(connection, "make_session", made.id, collection=body.collection, person=body.person)
    return SessionMade.model_validate(
        {**body.model_dump(exclude={"seconds"}), "token": text, "id": made.id, "expires": made.expires}
    )


@router.delete("/{session_id}", status_code=204)
def delete_session(session_id: Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")], caller: Backend) -> None:
    """End a session that this token made, say when its user logs out."""
    with caller.provider.database.writing() as connection:
        end_session(connection, caller.token, session_id)
        caller.note(connection, "end_session", session_id)

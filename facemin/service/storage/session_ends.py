"""Ends of sessions: each ends with the person, the collection or the enrolment that it was made for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from facemin.service.storage.tables import sessions

if TYPE_CHECKING:
    from sqlalchemy import Connection

Ending = Literal["deleted", "replaced"]
"""Of a session: its person or collection was deleted, or its person's enrolment replaced by somebody else's request."""


def end_sessions(
    connection: Connection, ending: Ending, collection: str, person: str | None = None, *, but: str | None = None
) -> None:
    """End the sessions of a person, or all of a collection; until their time is up they are told why.

    Args:
        connection: a writing transaction that holds the collection's row, so that no enrolment under way misses it.
        ending: why.
        collection: its name.
        person: theirs; None for every session of the collection.
        but: id of a session that goes on.
    """
    mine = (sessions.c.collection == collection) & sessions.c.ended.is_(None)
    if person is not None:
        mine &= sessions.c.person == person
    if but is not None:
        mine &= sessions.c.id != but
    connection.execute(sessions.update().where(mine).values(ended=ending))

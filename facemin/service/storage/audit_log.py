"""The audit log: who did what to whom, and with what outcome; never an upload, a template or a score."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypedDict

from sqlalchemy import select

from facemin.service.storage.tables import audit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Unpack

    from sqlalchemy import Connection, Row


class About(TypedDict, total=False):
    """What a line tells of, where it is about one collection or person."""

    collection: str | None
    person: str | None


def record(
    connection: Connection,
    action: str,
    outcome: str,
    *,
    request_id: str,
    token_id: str | None = None,
    **about: Unpack[About],
) -> None:
    """Append a line, in the transaction of what it tells of: neither is there without the other."""
    values = {
        "at": time.time(),
        "request_id": request_id,
        "token_id": token_id,
        "action": action,
        "outcome": outcome,
    }
    connection.execute(audit.insert().values(values | about))


def entries(connection: Connection, *, after: int = 0, count: int = 100) -> Sequence[Row[Any]]:
    """Up to `count` rows of `tables.audit` whose number is greater than `after`, oldest first."""
    return connection.execute(select(audit).where(audit.c.id > after).order_by(audit.c.id).limit(count)).all()

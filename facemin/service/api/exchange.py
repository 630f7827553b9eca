"""Steps that endpoints on faces share: what is read, logged, remembered and answered."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import Response

from facemin.service.api.dependencies import Caller, Claimant, answered, earlier
from facemin.service.api.errors import ServiceError, bad_input, conflict
from facemin.service.api.schemas import Enrolment, Identification, Renewal, Upload, Verification
from facemin.service.recognition.uploads import Face, read_upload
from facemin.service.storage.replay import Answer, remember_uploads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from facemin.service.storage.records import Binding, Collection, Person

REFUSED = frozenset(
    {"replayed_upload", "wrong_challenge", "not_possessed", "other_secret", "wrong_epoch", "admin_only"}
)


@dataclass(frozen=True)
class Exchange:
    """One request on faces and its answer, which the same request gets again.

    Args:
        claimant: who asks.
        action: for the log.
        collection: that the path names.
        key: of idempotency, where one was sent.
        content: what makes two requests the same.
    """

    claimant: Claimant
    action: str
    collection: str
    key: str | None
    content: bytes

    @classmethod
    def of(
        cls,
        claimant: Claimant,
        action: str,
        collection: str,
        key: str | None,
        body: Enrolment | Verification | Renewal | Identification,
        *,
        person: str = "",
    ) -> Exchange:
        """One of a body, whose uploads count as their bytes; `person` is whom the path names."""
        uploads = body.uploads if not isinstance(body, Verification) else [body.upload, *(body.upgrade or [])]
        if isinstance(body, Renewal):
            uploads = [body.upload, *uploads]
        place = f"{collection} {person}" if person else collection
        content = f"{action} {place} {body.model_dump_json()} ".encode() + b" ".join(each.data for each in uploads)
        return cls(claimant, action, collection, key, content)

    @contextmanager
    def begun(self) -> Iterator[tuple[Connection, Caller, Response | None]]:
        """A transaction to read in, the confirmed caller, and the answer that this very request was given before.

        Raises:
            ServiceError: the token is revoked or expired (401), or may not do this (403).
        """
        with self.claimant.provider.database.reading() as reading:
            caller = self.claimant.confirmed(reading)
            found = earlier(caller, reading, self.key, self.content)
            yield reading, caller, response(found) if found is not None else None

    def answered(
        self,
        caller: Caller,
        work: Callable[[Connection], Answer],
        *,
        person: str | None,
        outcome: Callable[[Answer], str],
    ) -> Response:
        """Do the writing half once, and answer.

        Args:
            caller: as confirmed.
            work: writes, and makes the answer, in one transaction.
            person: whom the request names, for the log.
            outcome: what was decided, for the counters.

        Raises:
            ServiceError: what `work` raises; a refusal that leaves no other trace is logged.
        """
        with noting(caller, self.action, self.collection, person):
            answer = answered(caller, self.key, self.content, work)
        caller.provider.telemetry.decision(self.action, outcome(answer))
        return response(answer)


@contextmanager
def noting(caller: Caller, action: str, collection: str, person: str | None) -> Iterator[None]:
    """Log a replayed upload, a spent challenge or a refused enrolment, whose own transaction leaves no trace."""
    try:
        yield
    except ServiceError as error:
        if error.code in REFUSED:
            caller.refuse(error, action, collection=collection, person=person)
        raise


def read_faces(
    caller: Caller,
    reading: Connection,
    place: Collection,
    uploads: list[Upload],
    action: str,
    person: str | None,
    *,
    more: int = 0,
) -> list[Face]:
    """What uploads hold; a refusal of one is logged.

    Args:
        caller: who sent them.
        reading: a transaction.
        place: the collection that they are for.
        uploads: at most a batch, and `more`.
        action: for the log.
        person: whom they are said to be of; None where that is not known.
        more: uploads allowed beyond a batch.

    Raises:
        ServiceError: too many, or one that cannot be used (422).
    """
    most = caller.provider.settings.batch + more
    if len(uploads) > most:
        raise bad_input(f"uploads: expected at most {most}, got {len(uploads)}", code="too_many_uploads")
    try:
        return [read_upload(caller.provider, reading, place, upload, person=person or "") for upload in uploads]
    except ServiceError as error:
        caller.refuse(error, action, collection=place.name, person=person)
        raise


def put_pseudonym(
    caller: Caller,
    connection: Connection,
    place: Collection,
    person: Person,
    rows: NDArray[np.float32],
    faces: list[Face],
    binding: Binding,
    *,
    old: Binding | None = None,
) -> Person:
    """Replace a person's templates by a pseudonym, unless its binding changed since it was read."""

    def unchanged(there: Person | None) -> None:
        if there is None or there.binding != old:
            raise conflict("try_again", "person: expected nobody else to change them at the same time")

    return caller.provider.store.enrol(
        connection,
        place,
        person.name,
        rows,
        kinds=[face.kind for face in faces],
        key_ids=[face.key_id for face in faces],
        binding=binding,
        replace=True,
        most=caller.provider.settings.templates_per_person,
        asker=caller.token.id,
        check=unchanged,
    )


def person_not_found() -> ServiceError:
    """The refusal where a collection has no such person (404)."""
    return ServiceError(404, "person_not_found", "person: expected one of this collection, got another name")


def remember(caller: Caller, connection: Connection, faces: list[Face], *, refuse: bool) -> None:
    """Note uploads as sent; with `refuse`, one that was sent before is refused (409)."""
    seconds = caller.provider.settings.replay_seconds
    remember_uploads(connection, [face.digest for face in faces], seconds=seconds, refuse=refuse)


def response(answer: Answer) -> Response:
    """An answer as it is sent."""
    return Response(answer.body, answer.status, media_type="application/json")

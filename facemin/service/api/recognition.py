"""Endpoints on faces: challenges, enrol, verify, identify."""

from __future__ import annotations

import json
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Response

from facemin.service.api.bodies import ParsedRoute
from facemin.service.api.dependencies import Caller, Claimant, Claimed, IdempotencyKey, answered, checked_far, earlier
from facemin.service.api.errors import ServiceError, bad_input, problem_text
from facemin.service.api.responses import person_out
from facemin.service.api.schemas import (
    ChallengeOut,
    CollectionName,
    Decision,
    Enrolment,
    Identification,
    Identified,
    PersonOut,
    Upload,
    Verification,
    moment,
)
from facemin.service.recognition.decisions import Verdict, judge
from facemin.service.recognition.uploads import Face, read_upload
from facemin.service.storage.replay import Answer, check_challenge, make_challenge, remember_uploads, spend_challenge

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from facemin.service.storage.store import Collection, Person

MOST_CHALLENGES = 1000

router = APIRouter(prefix="/v1", tags=["faces"], route_class=ParsedRoute)


@router.post("/challenges", response_model=ChallengeOut, status_code=201)
def challenge(claimant: Annotated[Claimant, Depends(Claimed(("verify", "identify"), "anywhere"))]) -> ChallengeOut:
    """Get a challenge, which one verify or identify of the same token has to bring along."""
    provider = claimant.provider
    with provider.database.writing() as connection:
        token = claimant.confirmed(connection).token.id
        seconds = provider.settings.challenge_seconds
        text, expires = make_challenge(connection, token, seconds=seconds, most=MOST_CHALLENGES)
    return ChallengeOut(challenge=text, expires=moment(expires))


@router.post("/collections/{collection}/persons", response_model=PersonOut, status_code=201)
def enrol(
    collection: CollectionName,
    body: Enrolment,
    claimant: Annotated[Claimant, Depends(Claimed(("enrol",)))],
    key: IdempotencyKey = None,
) -> Response:
    """Enrol a person, or add faces to one. Once answered, it is on the disk."""
    provider = claimant.provider
    request = _content("enrol", collection, body)
    name = body.person or f"p-{secrets.token_hex(12)}"
    with provider.database.reading() as reading:
        caller = claimant.confirmed(reading)
        if (found := earlier(caller, reading, key, request)) is not None:
            return _response(found)
        place = provider.store.collection(reading, collection)
        faces = _faces(caller, reading, place, body.uploads, "enrol", body.person)
    rows = provider.embedder([(face.cut, face.value) for face in faces])

    def work(connection: Connection) -> Answer:
        person = provider.store.enrol(
            connection,
            place,
            name,
            rows,
            kinds=[face.kind for face in faces],
            key_ids=[face.key_id for face in faces],
            replace=body.replace,
            most=provider.settings.templates_per_person,
        )
        _remember(caller, connection, faces, refuse=False)
        caller.note(connection, "enrol", f"{len(faces)} faces", collection=collection, person=name)
        shown = person_out(provider, person).model_dump_json()
        return Answer(status=201, body=shown, people=frozenset({person.id}))

    answer = answered(caller, key, request, work)
    provider.telemetry.decision("enrol", "done")
    return _response(answer)


@router.post("/collections/{collection}/verify", response_model=Decision)
def verify(
    collection: CollectionName,
    body: Verification,
    claimant: Annotated[Claimant, Depends(Claimed(("verify",)))],
    key: IdempotencyKey = None,
) -> Response:
    """Ask whether a face is a certain person's (1:1).

    That there is no such person is answered where a decision would be, and costs what one costs: a challenge, an
    upload that was never sent before, and a line in the audit log.
    """
    provider = claimant.provider
    request = _content("verify", collection, body)
    with provider.database.reading() as reading:
        caller = claimant.confirmed(reading)
        if (found := earlier(caller, reading, key, request)) is not None:
            return _response(found)
        place = provider.store.collection(reading, collection)
        far = checked_far(provider, place.far if body.far is None else body.far, laxest=place.far)
        check_challenge(reading, body.challenge, caller.token.id)
        person = provider.store.find(reading, place, body.person)
        faces = _faces(caller, reading, place, [body.upload], "verify", body.person)
    row = provider.embedder([(face.cut, face.value) for face in faces])[0]

    def work(connection: Connection) -> Answer:
        spend_challenge(connection, body.challenge, caller.token.id)
        _remember(caller, connection, faces, refuse=True)
        try:
            if person is None or not provider.store.still(connection, frozenset({person.id})):
                raise ServiceError(404, "person_not_found", "person: expected one of this collection, got another name")
            verdict = judge(row, faces[0].kind, person, provider.thresholds, far=far)
        except ServiceError as error:
            caller.note(connection, "verify", error.code, collection=collection, person=body.person)
            return Answer(status=error.status, body=problem_text(error, caller.request_id))
        outcome = "accepted" if verdict.accepted else "rejected"
        caller.note(connection, "verify", outcome, collection=collection, person=body.person)
        shown = _decision(caller, person, verdict)
        return Answer(status=200, body=shown.model_dump_json(), people=frozenset({person.id}))

    with _noting(caller, "verify", collection, body.person):
        answer = answered(caller, key, request, work)
    provider.telemetry.decision("verify", _outcome(answer))
    return _response(answer)


@router.post("/collections/{collection}/identify", response_model=Identified)
def identify(
    collection: CollectionName,
    body: Identification,
    claimant: Annotated[Claimant, Depends(Claimed(("identify",)))],
    key: IdempotencyKey = None,
) -> Response:
    """Ask whose faces these are (1:N).

    The FAR is that of one comparison: among N people about N times as many strangers are accepted. Choose it
    accordingly.
    """
    provider = claimant.provider
    request = _content("identify", collection, body)
    with provider.database.reading() as reading:
        caller = claimant.confirmed(reading)
        if (found := earlier(caller, reading, key, request)) is not None:
            return _response(found)
        place = provider.store.collection(reading, collection)
        far = checked_far(provider, place.far if body.far is None else body.far, laxest=place.far)
        check_challenge(reading, body.challenge, caller.token.id)
        faces = _faces(caller, reading, place, body.uploads, "identify", None)
        rows = provider.embedder([(face.cut, face.value) for face in faces])
        nearest = provider.store.nearest(place, rows, body.top, connection=reading)

    ranked = [_ranked(caller, row, face, people, far) for row, face, people in zip(rows, faces, nearest, strict=True)]
    named = frozenset(person for decisions in ranked for person, _ in decisions)

    def work(connection: Connection) -> Answer:
        spend_challenge(connection, body.challenge, caller.token.id)
        _remember(caller, connection, faces, refuse=True)
        # somebody may have been deleted since the search
        there = provider.store.still(connection, named)
        results = [[decision for person, decision in decisions if person in there] for decisions in ranked]
        accepted = sum(any(decision.accepted for decision in decisions) for decisions in results)
        caller.note(connection, "identify", f"{accepted} of {len(faces)} accepted", collection=collection)
        return Answer(status=200, body=Identified(results=results).model_dump_json(), people=there)

    with _noting(caller, "identify", collection, None):
        answer = answered(caller, key, request, work)
    provider.telemetry.decision("identify", _outcome(answer))
    return _response(answer)


@contextmanager
def _noting(caller: Caller, action: str, collection: str, person: str | None) -> Iterator[None]:
    """Log a replayed upload or a spent challenge, whose own transaction leaves no trace."""
    try:
        yield
    except ServiceError as error:
        if error.code in ("replayed_upload", "wrong_challenge"):
            caller.refuse(error, action, collection=collection, person=person)
        raise


def _ranked(
    caller: Caller, row: NDArray[np.float32], face: Face, people: list[Person], far: float
) -> list[tuple[int, Decision]]:
    """Persons by number, with what was decided on each."""
    decisions = []
    for person in people:
        # somebody may have been enrolled anew, or by another model, since the search
        if any(template.row is not None for template in person.templates):
            verdict = judge(row, face.kind, person, caller.provider.thresholds, far=far)
            decisions.append((person.id, _decision(caller, person, verdict)))
    return decisions


def _decision(caller: Caller, person: Person, verdict: Verdict) -> Decision:
    threshold = verdict.threshold
    return Decision(
        person=person.name,
        accepted=verdict.accepted,
        score=verdict.score,
        threshold=threshold.threshold,
        far=threshold.far,
        threshold_id=caller.provider.thresholds.id_of(threshold),
        enrolled_as=verdict.kind,
    )


def _outcome(answer: Answer) -> str:
    """What was decided, for the counters."""
    found = json.loads(answer.body)
    if answer.status != 200:
        return str(found["code"])
    decisions = [found] if "accepted" in found else [decision for face in found["results"] for decision in face]
    return "accepted" if any(decision["accepted"] for decision in decisions) else "rejected"


def _faces(
    caller: Caller, reading: Connection, place: Collection, uploads: list[Upload], action: str, person: str | None
) -> list[Face]:
    most = caller.provider.settings.batch
    if len(uploads) > most:
        raise bad_input(f"uploads: expected at most {most}, got {len(uploads)}", code="too_many_uploads")
    try:
        return [read_upload(caller.provider, reading, place, upload) for upload in uploads]
    except ServiceError as error:
        caller.refuse(error, action, collection=place.name, person=person)
        raise


def _remember(caller: Caller, connection: Connection, faces: list[Face], *, refuse: bool) -> None:
    seconds = caller.provider.settings.replay_seconds
    remember_uploads(connection, [face.digest for face in faces], seconds=seconds, refuse=refuse)


def _content(action: str, collection: str, body: Enrolment | Verification | Identification) -> bytes:
    """What makes two requests the same; uploads count as their bytes."""
    uploads = body.uploads if not isinstance(body, Verification) else [body.upload]
    return f"{action} {collection} {body.model_dump_json()} ".encode() + b" ".join(upload.data for upload in uploads)


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, media_type="application/json")

"""Endpoints on faces: challenges, enrol, verify, identify."""

from __future__ import annotations

import json
import secrets
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Query, Response

from facemin.service.api.bodies import ParsedRoute
from facemin.service.api.dependencies import Caller, Claimant, Claimed, IdempotencyKey, answered, checked_far, earlier
from facemin.service.api.errors import ServiceError, bad_input, conflict, problem_text
from facemin.service.api.responses import person_out
from facemin.service.api.schemas import (
    HEX_32,
    ChallengeOut,
    CollectionName,
    Decision,
    Enrolment,
    Identification,
    Identified,
    PersonName,
    PersonOut,
    Renewal,
    Upload,
    Verification,
    moment,
)
from facemin.service.recognition.decisions import Verdict, judge
from facemin.service.recognition.possession import (
    check_enrolment,
    check_probe,
    check_renewal,
    check_signature,
    check_signed,
    common_binding,
)
from facemin.service.recognition.uploads import Face, read_upload
from facemin.service.storage.replay import Answer, check_challenge, make_challenge, remember_uploads, spend_challenge

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from facemin.service.storage.records import Binding, Collection, Person
    from facemin.service.tokens import Scope

MOST_CHALLENGES = 1000
REFUSED = frozenset(
    {"replayed_upload", "wrong_challenge", "not_possessed", "other_secret", "wrong_epoch", "admin_only"}
)
FACES: tuple[Scope, ...] = ("enrol", "verify", "identify")

router = APIRouter(prefix="/v1", tags=["faces"], route_class=ParsedRoute)


@router.post("/challenges", response_model=ChallengeOut, status_code=201)
def challenge(
    claimant: Annotated[Claimant, Depends(Claimed(FACES, "anywhere"))],
    collection: Annotated[CollectionName | None, Query(description="Where it will be used.")] = None,
    person: Annotated[PersonName | None, Query(description="Whose epoch is wanted.")] = None,
    possession: Annotated[
        str | None, Query(pattern=HEX_32, description="Possession key whose latest epoch is wanted, for identify.")
    ] = None,
) -> ChallengeOut:
    """Get a challenge, which one enrolment, verify, identify or renewal of the same token has to bring along.

    With a collection and a person it comes with the epoch of their pseudonym, which is 0 as well for somebody who is
    not there.
    """
    provider, place, epoch = claimant.provider, None, 0
    with provider.database.writing() as connection:
        caller = claimant.confirmed(connection)
        if collection is not None:
            if not any(caller.token.may(scope, collection) for scope in FACES):
                raise ServiceError(403, "forbidden", f"token: expected a scope in {collection}, got one without")
            place = provider.store.collection(connection, collection)
            if person is not None or possession is not None:
                epoch = provider.store.epoch(connection, place, person=person, possession=possession or "")
        seconds = provider.settings.challenge_seconds
        text, expires = make_challenge(connection, caller.token.id, seconds=seconds, most=MOST_CHALLENGES)
    return ChallengeOut(
        challenge=text,
        expires=moment(expires),
        epoch=epoch,
        features=provider.settings.feature_uploads,
        pseudonyms=place.pseudonyms if place is not None else None,
    )


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
        binding = _new_binding(caller, reading, faces, body.challenge)
    rows = provider.embedder([(face.cut, face.value) for face in faces])

    admin = caller.token.may("admin", collection)

    def work(connection: Connection) -> Answer:
        if binding is not None:
            spend_challenge(connection, body.challenge or "", caller.token.id)
            check_signed(
                faces,
                binding,
                challenge=body.challenge or "",
                operation="enrol",
                collection=collection,
                person=body.person or "",
            )
        person = provider.store.enrol(
            connection,
            place,
            name,
            rows,
            kinds=[face.kind for face in faces],
            key_ids=[face.key_id for face in faces],
            binding=binding,
            replace=body.replace,
            most=provider.settings.templates_per_person,
            check=partial(check_enrolment, binding=binding, replace=body.replace, admin=admin),
        )
        _remember(caller, connection, faces, refuse=False)
        caller.note(connection, "enrol", f"{len(faces)} faces", collection=collection, person=name)
        shown = person_out(provider, person).model_dump_json()
        return Answer(status=201, body=shown, people=frozenset({person.id}))

    with _noting(caller, "enrol", collection, body.person):
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
        new = _faces(caller, reading, place, body.upgrade or [], "verify", body.person)
        faces = _faces(caller, reading, place, [body.upload], "verify", body.person)
        binding = _upgraded(faces[0], new)
    rows = provider.embedder([(face.cut, face.value) for face in (*faces, *new)])

    def work(connection: Connection) -> Answer:
        spend_challenge(connection, body.challenge, caller.token.id)
        _remember(caller, connection, [*faces, *new], refuse=True)
        try:
            if person is None or not provider.store.still(connection, frozenset({person.id})):
                raise _nobody()
            verdict = _verdict(caller, rows[0], faces[0], person, body.challenge, place, far)
            if binding is not None:
                check_signed(
                    new,
                    binding,
                    challenge=body.challenge,
                    operation="enrol",
                    collection=collection,
                    person=body.person,
                )
        except ServiceError as error:
            caller.note(connection, "verify", error.code, collection=collection, person=body.person)
            return Answer(status=error.status, body=problem_text(error, caller.request_id))
        outcome = "accepted" if verdict.accepted else "rejected"
        caller.note(connection, "verify", outcome, collection=collection, person=body.person)
        if binding is not None and verdict.accepted:
            _put(caller, connection, place, person, rows[1:], new, binding)
            caller.note(connection, "upgrade", f"{len(new)} faces", collection=collection, person=body.person)
        shown = _decision(caller, person, verdict)
        return Answer(status=200, body=shown.model_dump_json(), people=frozenset({person.id}))

    with _noting(caller, "verify", collection, body.person):
        answer = answered(caller, key, request, work)
    provider.telemetry.decision("verify", _outcome(answer))
    return _response(answer)


@router.post("/collections/{collection}/persons/{person}/renew", response_model=PersonOut)
def renew(
    collection: CollectionName,
    person: PersonName,
    body: Renewal,
    claimant: Annotated[Claimant, Depends(Claimed(("verify",)))],
    key: IdempotencyKey = None,
) -> Response:
    """Put an enrolment under the next epoch, or another secret, in place of a person's pseudonym.

    The old pseudonym is verified at a FAR of a tenth of the collection's or less; both happen, or neither.
    """
    provider = claimant.provider
    request = _content("renew", f"{collection} {person}", body)
    with provider.database.reading() as reading:
        caller = claimant.confirmed(reading)
        if (found := earlier(caller, reading, key, request)) is not None:
            return _response(found)
        place = provider.store.collection(reading, collection)
        check_challenge(reading, body.challenge, caller.token.id)
        faces = _faces(caller, reading, place, [body.upload, *body.uploads], "renew", person, more=1)
        if any(face.kind != "pseudonym" for face in faces):
            raise bad_input("uploads: expected all under a pseudonym, got others", code="pseudonym_required")
    rows = provider.embedder([(face.cut, face.value) for face in faces])

    def work(connection: Connection) -> Answer:
        spend_challenge(connection, body.challenge, caller.token.id)
        _remember(caller, connection, faces, refuse=True)
        try:
            there = provider.store.find(connection, place, person)
            if there is None:
                raise _nobody()
            old, new = check_renewal(faces[0], faces[1:], there, challenge=body.challenge, collection=collection)
            try:
                far = provider.thresholds.stricter(place.far)
            except ValueError as error:
                raise ServiceError(422, "far_not_calibrated", str(error)) from None
            verdict = judge(rows[0], "pseudonym", there, provider.thresholds, far=far, binding=old)
            if not verdict.accepted:
                raise ServiceError(
                    403,
                    "not_renewed",
                    f"upload: expected a cosine of {verdict.threshold.threshold:.4f} or more with the old enrolment "
                    f"(FAR {far:g}), got {verdict.score:.4f}; nothing was changed",
                )
        except ServiceError as error:
            caller.note(connection, "renew", error.code, collection=collection, person=person)
            return Answer(status=error.status, body=problem_text(error, caller.request_id))
        renewed = _put(caller, connection, place, there, rows[1:], faces[1:], new, old=old)
        caller.note(connection, "renew", f"epoch {new.epoch}", collection=collection, person=person)
        shown = person_out(provider, renewed).model_dump_json()
        return Answer(status=200, body=shown, people=frozenset({renewed.id}))

    with _noting(caller, "renew", collection, person):
        answer = answered(caller, key, request, work)
    provider.telemetry.decision("renew", "done" if answer.status == 200 else str(json.loads(answer.body)["code"]))
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
    accordingly. An upload under a pseudonym is compared with those of the possession key that signed it.
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
        for face in faces:
            if face.binding is not None:
                _check_identified(face, body.challenge, collection)
        nearest = [
            provider.store.nearest(
                place,
                row[None],
                body.top,
                pool=face.binding.possession if face.binding is not None else "",
                connection=reading,
            )[0]
            for row, face in zip(rows, faces, strict=True)
        ]

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
    """Log a replayed upload, a spent challenge or a refused enrolment, whose own transaction leaves no trace."""
    try:
        yield
    except ServiceError as error:
        if error.code in REFUSED:
            caller.refuse(error, action, collection=collection, person=person)
        raise


def _ranked(
    caller: Caller, row: NDArray[np.float32], face: Face, people: list[Person], far: float
) -> list[tuple[int, Decision]]:
    """Persons by number, with what was decided on each."""
    decisions = []
    for person in people:
        # somebody may have been enrolled anew, or by another model, since the search
        if any(template.row is not None and template.binding == face.binding for template in person.templates):
            verdict = judge(row, face.kind, person, caller.provider.thresholds, far=far, binding=face.binding)
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
    caller: Caller,
    reading: Connection,
    place: Collection,
    uploads: list[Upload],
    action: str,
    person: str | None,
    *,
    more: int = 0,
) -> list[Face]:
    most = caller.provider.settings.batch + more
    if len(uploads) > most:
        raise bad_input(f"uploads: expected at most {most}, got {len(uploads)}", code="too_many_uploads")
    try:
        return [read_upload(caller.provider, reading, place, upload, person=person or "") for upload in uploads]
    except ServiceError as error:
        caller.refuse(error, action, collection=place.name, person=person)
        raise


def _new_binding(caller: Caller, reading: Connection, faces: list[Face], challenge: str | None) -> Binding | None:
    """The binding of what is to be enrolled; None where it is under no pseudonym.

    Raises:
        ServiceError: some are and some are not, or under several, or without a challenge (422); it is not open (409).
    """
    if all(face.binding is None for face in faces):
        return None
    binding = common_binding(faces)
    if challenge is None:
        raise bad_input("challenge: expected one with uploads under a pseudonym, got none", code="challenge_required")
    check_challenge(reading, challenge, caller.token.id)
    return binding


def _upgraded(probe: Face, new: list[Face]) -> Binding | None:
    if not new:
        return None
    if probe.binding is not None:
        raise bad_input(
            "upgrade: expected with an upload under no pseudonym, got one under a pseudonym", code="not_an_upgrade"
        )
    return common_binding(new)


def _verdict(
    caller: Caller, row: NDArray[np.float32], face: Face, person: Person, challenge: str, place: Collection, far: float
) -> Verdict:
    binding = None
    if face.binding is not None:
        binding = check_probe(face, person, challenge=challenge, collection=place.name)
    return judge(row, face.kind, person, caller.provider.thresholds, far=far, binding=binding)


def _check_identified(face: Face, challenge: str, collection: str) -> None:
    assert face.binding is not None
    key = common_binding([face]).possession
    check_signature(face, key, challenge=challenge, operation="identify", collection=collection, person="")


def _put(
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
        check=unchanged,
    )


def _nobody() -> ServiceError:
    return ServiceError(404, "person_not_found", "person: expected one of this collection, got another name")


def _remember(caller: Caller, connection: Connection, faces: list[Face], *, refuse: bool) -> None:
    seconds = caller.provider.settings.replay_seconds
    remember_uploads(connection, [face.digest for face in faces], seconds=seconds, refuse=refuse)


def _content(action: str, collection: str, body: Enrolment | Verification | Renewal | Identification) -> bytes:
    """What makes two requests the same; uploads count as their bytes."""
    uploads = body.uploads if not isinstance(body, Verification) else [body.upload, *(body.upgrade or [])]
    if isinstance(body, Renewal):
        uploads = [body.upload, *uploads]
    return f"{action} {collection} {body.model_dump_json()} ".encode() + b" ".join(upload.data for upload in uploads)


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, media_type="application/json")

"""Endpoints that put faces in: enrol, renew."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Response

from facemin.service.api.dependencies import Caller, Claimant, Claimed, IdempotencyKey
from facemin.service.api.errors import ServiceError, bad_input, problem_text
from facemin.service.api.exchange import Exchange, person_not_found, put_pseudonym, read_faces, remember
from facemin.service.api.fields import CollectionName, PersonName
from facemin.service.api.limits.bodies import ParsedRoute
from facemin.service.api.responses import person_out
from facemin.service.api.schemas import Enrolment, PersonOut, Renewal
from facemin.service.recognition.decisions import judge
from facemin.service.recognition.possession import check_enrolment, check_renewal, check_signed, common_binding
from facemin.service.recognition.uploads import Face
from facemin.service.sessions import check_subject
from facemin.service.storage.replay import Answer, check_challenge, spend_challenge

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from facemin.service.storage.records import Binding, Person

Enroller = Annotated[Claimant, Depends(Claimed(("enrol",)))]
Verifier = Annotated[Claimant, Depends(Claimed(("verify",)))]

router = APIRouter(prefix="/v1", tags=["faces"], route_class=ParsedRoute)


@router.post("/collections/{collection}/persons", response_model=PersonOut, status_code=201)
def enrol(collection: CollectionName, body: Enrolment, claimant: Enroller, key: IdempotencyKey = None) -> Response:
    """Enrol a person, or add faces to one. Once answered, it is on the disk."""
    provider = claimant.provider
    exchange = Exchange.of(claimant, "enrol", collection, key, body)
    name = body.person or f"p-{secrets.token_hex(12)}"
    with exchange.begun() as (reading, caller, again):
        check_subject(caller.token, body.person)
        if again is not None:
            return again
        place = provider.store.collection(reading, collection)
        faces = read_faces(caller, reading, place, body.uploads, "enrol", body.person)
        binding = _new_binding(caller, reading, faces, body.challenge)
    rows = provider.embedder([(face.cut, face.value) for face in faces])

    admin = caller.token.may("admin", collection)

    def work(connection: Connection) -> Answer:
        def check(there: Person | None) -> None:
            # a session may have ended since it was read, with the very person, whom it must not bring back
            claimant.confirmed(connection)
            check_enrolment(there, binding, replace=body.replace, admin=admin)

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
            asker=caller.token.id,
            check=check,
        )
        remember(caller, connection, faces, refuse=False)
        caller.note(connection, "enrol", f"{len(faces)} faces", collection=collection, person=name)
        shown = person_out(provider, person).model_dump_json()
        return Answer(status=201, body=shown, people=frozenset({person.id}))

    return exchange.answered(caller, work, person=body.person, outcome=_outcome)


@router.post("/collections/{collection}/persons/{person}/renew", response_model=PersonOut)
def renew(
    collection: CollectionName,
    person: PersonName,
    body: Renewal,
    claimant: Verifier,
    key: IdempotencyKey = None,
) -> Response:
    """Put an enrolment under the next epoch, or another secret, in place of a person's pseudonym.

    The old pseudonym is verified at a FAR of a tenth of the collection's or less; both happen, or neither.
    """
    provider = claimant.provider
    exchange = Exchange.of(claimant, "renew", collection, key, body, person=person)
    with exchange.begun() as (reading, caller, again):
        if again is not None:
            return again
        place = provider.store.collection(reading, collection)
        check_challenge(reading, body.challenge, caller.token.id)
        faces = read_faces(caller, reading, place, [body.upload, *body.uploads], "renew", person, more=1)
        if any(face.kind != "pseudonym" for face in faces):
            raise bad_input("uploads: expected all under a pseudonym, got others", code="pseudonym_required")
    rows = provider.embedder([(face.cut, face.value) for face in faces])

    def work(connection: Connection) -> Answer:
        spend_challenge(connection, body.challenge, caller.token.id)
        remember(caller, connection, faces, refuse=True)
        try:
            there = provider.store.find(connection, place, person)
            if there is None:
                raise person_not_found()
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
        renewed = put_pseudonym(caller, connection, place, there, rows[1:], faces[1:], new, old=old)
        caller.note(connection, "renew", f"epoch {new.epoch}", collection=collection, person=person)
        shown = person_out(provider, renewed).model_dump_json()
        return Answer(status=200, body=shown, people=frozenset({renewed.id}))

    return exchange.answered(caller, work, person=person, outcome=_outcome)


def _outcome(answer: Answer) -> str:
    return "done" if answer.status < 400 else str(json.loads(answer.body)["code"])


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

"""Endpoints that compare faces: verify, identify; and the challenges that all of them need."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Query, Response

from facemin.service.api.dependencies import Caller, Claimant, Claimed, IdempotencyKey, checked_far
from facemin.service.api.errors import ServiceError, bad_input, problem_text
from facemin.service.api.exchange import Exchange, person_not_found, put_pseudonym, read_faces, remember
from facemin.service.api.fields import HEX_32, CollectionName, PersonName
from facemin.service.api.limits.bodies import ParsedRoute
from facemin.service.api.schemas import ChallengeOut, Decision, Identification, Identified, Verification, moment
from facemin.service.recognition.decisions import Verdict, judge
from facemin.service.recognition.possession import check_probe, check_signature, check_signed, common_binding
from facemin.service.recognition.uploads import Face
from facemin.service.sessions import check_subject, other_person
from facemin.service.storage.replay import Answer, check_challenge, make_challenge, spend_challenge

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from facemin.service.storage.records import Binding, Collection, Person
    from facemin.service.tokens import Scope

MOST_CHALLENGES = 1000
FACES: tuple[Scope, ...] = ("enrol", "verify", "identify")

Verifier = Annotated[Claimant, Depends(Claimed(("verify",)))]
Identifier = Annotated[Claimant, Depends(Claimed(("identify",)))]

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
        check_subject(caller.token, person, collection=collection, needed=False)
        if possession is not None and caller.token.session is not None and caller.token.session.scope != "identify":
            raise other_person()
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
        carriers=place.carriers if place is not None else None,
        threshold=provider.thresholds.of_pseudonyms(place.far) if place is not None else None,
    )


@router.post("/collections/{collection}/verify", response_model=Decision)
def verify(collection: CollectionName, body: Verification, claimant: Verifier, key: IdempotencyKey = None) -> Response:
    """Ask whether a face is a certain person's (1:1).

    That there is no such person is answered where a decision would be, and costs what one costs: a challenge, an
    upload that was never sent before, and a line in the audit log.
    """
    provider = claimant.provider
    exchange = Exchange.of(claimant, "verify", collection, key, body)
    with exchange.begun() as (reading, caller, again):
        check_subject(caller.token, body.person)
        if again is not None:
            return again
        place = provider.store.collection(reading, collection)
        far = checked_far(provider, place.far if body.far is None else body.far, laxest=place.far)
        check_challenge(reading, body.challenge, caller.token.id)
        person = provider.store.find(reading, place, body.person)
        new = read_faces(caller, reading, place, body.upgrade or [], "verify", body.person)
        faces = read_faces(caller, reading, place, [body.upload], "verify", body.person)
        binding = _upgraded(faces[0], new)
    rows = provider.embedder([(face.cut, face.value) for face in (*faces, *new)])

    def work(connection: Connection) -> Answer:
        spend_challenge(connection, body.challenge, caller.token.id)
        remember(caller, connection, [*faces, *new], refuse=True)
        try:
            if person is None or not provider.store.still(connection, frozenset({person.id})):
                raise person_not_found()
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
            put_pseudonym(caller, connection, place, person, rows[1:], new, binding)
            caller.note(connection, "upgrade", f"{len(new)} faces", collection=collection, person=body.person)
        shown = _decision(caller, person, verdict)
        return Answer(status=200, body=shown.model_dump_json(), people=frozenset({person.id}))

    return exchange.answered(caller, work, person=body.person, outcome=_outcome)


@router.post("/collections/{collection}/identify", response_model=Identified)
def identify(
    collection: CollectionName, body: Identification, claimant: Identifier, key: IdempotencyKey = None
) -> Response:
    """Ask whose faces these are (1:N).

    The FAR is that of one comparison: among N people about N times as many strangers are accepted. Choose it
    accordingly. An upload under a pseudonym is compared with those of the possession key that signed it.
    """
    provider = claimant.provider
    exchange = Exchange.of(claimant, "identify", collection, key, body)
    with exchange.begun() as (reading, caller, again):
        if again is not None:
            return again
        place = provider.store.collection(reading, collection)
        far = checked_far(provider, place.far if body.far is None else body.far, laxest=place.far)
        check_challenge(reading, body.challenge, caller.token.id)
        faces = read_faces(caller, reading, place, body.uploads, "identify", None)
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
        remember(caller, connection, faces, refuse=True)
        # somebody may have been deleted since the search
        there = provider.store.still(connection, named)
        results = [[decision for person, decision in decisions if person in there] for decisions in ranked]
        accepted = sum(any(decision.accepted for decision in decisions) for decisions in results)
        caller.note(connection, "identify", f"{accepted} of {len(faces)} accepted", collection=collection)
        return Answer(status=200, body=Identified(results=results).model_dump_json(), people=there)

    return exchange.answered(caller, work, person=None, outcome=_outcome)


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

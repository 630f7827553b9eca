"""Proof of possession: whether an upload under a pseudonym comes from a device that has the person's secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facemin.pseudonym import UploadStatement, verify_upload
from facemin.pseudonym.possession import renewal_digest
from facemin.service.api.errors import ServiceError, bad_input, conflict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facemin.service.recognition.uploads import Face
    from facemin.service.storage.records import Binding, Person

ENROL_ANEW = (
    "the provider's recogniser, and with it the space, is another one than at enrolment, so that the old enrolment "
    "cannot be compared any more: enrol anew"
)


def check_signature(
    face: Face,
    public_key: str,
    *,
    challenge: str,
    operation: str,
    collection: str,
    person: str,
    upload: bytes | None = None,
) -> None:
    """Refuse an upload that a key did not sign for this challenge, operation, collection, person and epoch.

    Args:
        face: under a pseudonym.
        public_key: in hexadecimal.
        challenge: as the provider gave it; the caller checks that it is open, and uses it up.
        operation: "enrol", "verify", "identify" or "renew".
        collection: the purpose.
        person: as they are called here; empty where that is asked.
        upload: what is signed in place of the upload's SHA-256, for a renewal.

    Raises:
        ServiceError: it did not (403).
    """
    assert face.binding is not None
    statement = UploadStatement(
        challenge=challenge.encode(),
        operation=operation,
        purpose=collection,
        upload=face.sha256 if upload is None else upload,
        person=person,
        epoch=face.binding.epoch,
    )
    if not verify_upload(bytes.fromhex(public_key), face.signature, statement):
        raise ServiceError(
            403,
            "not_possessed",
            f"upload: expected one signed for this {operation} by the person's device, got one that is not",
        )


def check_probe(face: Face, person: Person, *, challenge: str, collection: str) -> Binding:
    """The binding that a probe under a pseudonym is compared by, once the person's registered key signed it.

    Raises:
        ServiceError: no pseudonym is enrolled, or one in another space (409 `needs_enrolment`); another epoch is in
            force (409 `wrong_epoch`); the key did not sign it (403).
    """
    mine = _registered(person)
    check_signature(
        face, mine.possession, challenge=challenge, operation="verify", collection=collection, person=person.name
    )
    return _current(face, mine)


def check_renewal(
    face: Face, new: Sequence[Face], person: Person, *, challenge: str, collection: str
) -> tuple[Binding, Binding]:
    """Bindings of the old and of the next epoch, once the registered key signed the probe and what replaces it.

    Raises:
        ServiceError: as `check_probe`; or the new uploads are not under the next epoch (409), or not signed (403).
    """
    mine = _registered(person)
    binding = common_binding(new)
    signed = renewal_digest(face.sha256, [each.sha256 for each in new], bytes.fromhex(binding.possession))
    check_signature(
        face,
        mine.possession,
        challenge=challenge,
        operation="renew",
        collection=collection,
        person=person.name,
        upload=signed,
    )
    old = _current(face, mine)
    if binding.epoch != old.epoch + 1:
        raise conflict("wrong_epoch", f"uploads: expected the next epoch, {old.epoch + 1}, got {binding.epoch}")
    check_signed(new, binding, challenge=challenge, operation="renew", collection=collection, person=person.name)
    return old, binding


def common_binding(faces: Sequence[Face]) -> Binding:
    """The one binding of several uploads to enrol, with the possession key that they register.

    Raises:
        ServiceError: they differ, or name no key (422).
    """
    bindings = {face.binding for face in faces}
    binding = bindings.pop()
    if bindings or binding is None or not binding.possession:
        raise bad_input(
            "uploads: expected all under one pseudonym, with the public key of its possession, got others",
            code="mixed_pseudonyms",
        )
    return binding


def check_signed(
    faces: Sequence[Face], binding: Binding, *, challenge: str, operation: str, collection: str, person: str
) -> None:
    """Refuse uploads that the key which they register did not sign (403)."""
    for face in faces:
        check_signature(
            face,
            binding.possession,
            challenge=challenge,
            operation=operation,
            collection=collection,
            person=person,
        )


def check_enrolment(person: Person | None, binding: Binding | None, *, replace: bool, admin: bool) -> None:
    """Refuse an enrolment that would put another secret, another epoch or none in place of a person's pseudonym.

    Who has the person's secret may add to their pseudonym and replace it; everybody else needs an admin, and a higher
    epoch: that is how a lost secret is made good.

    Args:
        person: as they are; None where there is none.
        binding: of what is enrolled; None for other kinds than pseudonyms.
        replace: whether it takes the place of what is there.
        admin: whether the caller may administer the collection.

    Raises:
        ServiceError: it would (403, 409).
    """
    mine = person.binding if person is not None else None
    if mine is None:
        return
    if binding is not None and binding.possession == mine.possession:
        if binding.epoch != mine.epoch and not (replace and binding.epoch > mine.epoch):
            raise conflict("wrong_epoch", f"uploads: expected epoch {mine.epoch}, got {binding.epoch}")
        return
    if not replace:
        raise conflict(
            "other_secret",
            "person: expected uploads under the person's pseudonym, got others: their secret is another one. Whoever "
            "lost it is enrolled anew by an admin (replace, under a higher epoch)",
        )
    if not admin:
        raise ServiceError(403, "admin_only", "token: expected the scope admin to replace a pseudonym, got one without")
    if binding is not None and binding.epoch <= mine.epoch:
        raise conflict("wrong_epoch", f"uploads: expected a higher epoch than {mine.epoch}, got {binding.epoch}")


def _registered(person: Person) -> Binding:
    mine = person.binding
    if mine is None:
        raise conflict("needs_enrolment", "person: expected one with a pseudonym, got one without: enrol it")
    return mine


def _current(face: Face, mine: Binding) -> Binding:
    assert face.binding is not None
    if face.binding.space != mine.space:
        raise conflict(
            "needs_enrolment", f"person: expected a pseudonym in the present space, got another: {ENROL_ANEW}"
        )
    if face.binding.epoch != mine.epoch:
        raise conflict(
            "wrong_epoch", f"upload: expected one under epoch {mine.epoch}, got {face.binding.epoch}: it was renewed"
        )
    return mine

"""Responses made of stored records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facemin.service.api.schemas import (
    AuditEntry,
    CollectionOut,
    KeyOut,
    PersonOut,
    TemplateOut,
    ThresholdOut,
    Thresholds,
    TokenOut,
    moment,
    moment_or_none,
)

if TYPE_CHECKING:
    from facemin.service.provider import Provider
    from facemin.service.provider_keys import HeldKey, State
    from facemin.service.storage.audit_log import Entry
    from facemin.service.storage.records import Collection, Counts, Person
    from facemin.service.tokens import Token


def person_out(provider: Provider, person: Person) -> PersonOut:
    """A person without their templates' values."""
    held = [
        TemplateOut(
            id=template.id,
            kind=template.kind,
            key_id=template.key_id,
            current=template.fingerprint == provider.store.fingerprint,
            **(template.binding._asdict() if template.binding is not None else {}),
            created=moment(template.created),
        )
        for template in person.templates
    ]
    return PersonOut(person=person.name, created=moment(person.created), templates=held)


def collection_out(collection: Collection, counts: Counts | None = None) -> CollectionOut:
    """A collection, with its counts where they were taken."""
    return CollectionOut(
        name=collection.name,
        accept_plain=collection.accept_plain,
        far=collection.far,
        pseudonyms=collection.pseudonyms,
        carriers=collection.carriers,
        created=moment(collection.created),
        persons=counts.persons if counts else None,
        templates=counts.templates if counts else None,
        stale=counts.stale if counts else None,
    )


def key_out(key: HeldKey, state: State) -> KeyOut:
    """A key without its file."""
    return KeyOut(
        key_id=key.key_id,
        number=key.number,
        state=state,
        fingerprint=key.fingerprint,
        created=moment(key.created),
        expires=moment_or_none(key.expires),
        until=moment_or_none(key.until),
    )


def token_out(token: Token) -> TokenOut:
    """A token without its hash."""
    return TokenOut(
        id=token.id,
        name=token.name,
        grants=sorted(token.grants),
        expires=moment_or_none(token.expires),
        revoked=moment_or_none(token.revoked),
    )


def thresholds_out(provider: Provider) -> Thresholds:
    """All thresholds with their ids."""
    held = provider.thresholds
    return Thresholds(
        model=held.model,
        fingerprint=held.fingerprint,
        cut=held.cut,
        data=held.data,
        thresholds=[ThresholdOut(id=held.id_of(entry), **entry.model_dump()) for entry in held.thresholds],
    )


def audit_out(entry: Entry) -> AuditEntry:
    """A line of the audit log."""
    return AuditEntry(
        id=entry.id,
        at=moment(entry.at),
        request_id=entry.request_id,
        token_id=entry.token_id,
        action=entry.action,
        collection=entry.collection,
        person=entry.person,
        outcome=entry.outcome,
    )

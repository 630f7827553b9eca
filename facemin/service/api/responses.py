"""Responses made of stored records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from facemin.service.api.schemas import (
    AuditEntry,
    CollectionOut,
    KeyOut,
    PersonOut,
    Thresholds,
    TokenOut,
)

if TYPE_CHECKING:
    from sqlalchemy import Row

    from facemin.service.provider import Provider
    from facemin.service.provider_keys import HeldKey, State
    from facemin.service.storage.records import Collection, Counts, Person
    from facemin.service.tokens import Token


def person_out(provider: Provider, person: Person) -> PersonOut:
    """A person without their templates' values."""
    held = [
        vars(template)
        | (template.binding._asdict() if template.binding is not None else {})
        | {"current": template.fingerprint == provider.store.fingerprint}
        for template in person.templates
    ]
    return PersonOut.model_validate({"person": person.name, "created": person.created, "templates": held})


def collection_out(collection: Collection, counts: Counts | None = None) -> CollectionOut:
    """A collection, with its counts where they were taken."""
    return CollectionOut.model_validate(vars(collection) | (counts._asdict() if counts else {}))


def key_out(key: HeldKey, state: State) -> KeyOut:
    """A key without its file."""
    return KeyOut.model_validate(vars(key) | {"state": state})


def token_out(token: Token) -> TokenOut:
    """A token without its hash."""
    return TokenOut.model_validate(vars(token) | {"grants": sorted(token.grants)})


def thresholds_out(provider: Provider) -> Thresholds:
    """All thresholds with their ids."""
    held = provider.thresholds
    entries = [entry.model_dump() | {"id": held.id_of(entry)} for entry in held.thresholds]
    return Thresholds.model_validate(held.model_dump() | {"thresholds": entries})


def audit_out(entry: Row[Any]) -> AuditEntry:
    """A line of the audit log."""
    return AuditEntry.model_validate(dict(entry._mapping))  # noqa: SLF001 - SQLAlchemy's public name for it

"""Endpoints on collections and the people in them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from facemin.service.api.dependencies import Allowed, Caller, checked_far
from facemin.service.api.fields import PERSON, CollectionName, PersonName
from facemin.service.api.limits.bodies import ParsedRoute
from facemin.service.api.responses import collection_out, person_out
from facemin.service.api.schemas import CollectionChange, CollectionOut, Names, NewCollection, PersonExport, PersonOut
from facemin.service.tokens import SCOPES

router = APIRouter(prefix="/v1/collections", tags=["collections"], route_class=ParsedRoute)
Admin = Annotated[Caller, Depends(Allowed(("admin",)))]
AdminOrOwn = Annotated[Caller, Depends(Allowed(("admin",), own=True))]
AdminEverywhere = Annotated[Caller, Depends(Allowed(("admin",), "everywhere"))]


@router.get("", response_model=list[CollectionOut])
def list_collections(caller: Annotated[Caller, Depends(Allowed((), "anywhere"))]) -> list[CollectionOut]:
    """List the collections that the token has any scope in."""
    with caller.provider.database.reading() as connection:
        found = caller.provider.store.collections(connection)
    return [collection_out(collection) for collection in found if caller.token.sees(collection.name)]


@router.post("", response_model=CollectionOut, status_code=201)
def make_collection(body: NewCollection, caller: AdminEverywhere) -> CollectionOut:
    """Make a collection."""
    store = caller.provider.store
    far = checked_far(caller.provider, body.far if body.far is not None else caller.provider.settings.far)
    pseudonyms = caller.provider.checked_policy(body.pseudonyms)
    with store.database.writing() as connection:
        store.make_collection(
            connection,
            body.name,
            accept_plain=body.accept_plain,
            far=far,
            pseudonyms=pseudonyms,
            carriers=body.carriers,
        )
        caller.note(connection, "make_collection", "done", collection=body.name)
        return collection_out(store.collection(connection, body.name))


@router.get("/{collection}", response_model=CollectionOut)
def get_collection(collection: CollectionName, caller: Annotated[Caller, Depends(Allowed(SCOPES))]) -> CollectionOut:
    """Show a collection with its counts."""
    store = caller.provider.store
    with store.database.reading() as connection:
        found = store.collection(connection, collection)
        return collection_out(found, store.counts(connection, found))


@router.patch("/{collection}", response_model=CollectionOut)
def change_collection(collection: CollectionName, body: CollectionChange, caller: Admin) -> CollectionOut:
    """Change a collection's settings."""
    values = body.model_dump(exclude_none=True)
    if body.far is not None:
        checked_far(caller.provider, body.far)
    if body.pseudonyms is not None:
        caller.provider.checked_policy(body.pseudonyms)
    store = caller.provider.store
    with store.database.writing() as connection:
        found = store.collection(connection, collection)
        if values:
            store.change_collection(connection, collection, **values)
            caller.note(connection, "change_collection", ", ".join(sorted(values)), collection=collection)
            found = store.collection(connection, collection)
        return collection_out(found)


@router.delete("/{collection}", status_code=204)
def delete_collection(collection: CollectionName, caller: AdminEverywhere) -> None:
    """Delete a collection with everybody in it."""
    store = caller.provider.store
    with store.database.writing() as connection:
        number = store.delete_collection(connection, collection)
        caller.note(connection, "delete_collection", "done", collection=collection)
    store.search.dropped(number)


@router.get("/{collection}/persons", response_model=Names)
def list_persons(
    collection: CollectionName,
    caller: Admin,
    after: Annotated[str, Query(pattern=PERSON + "|^$", description="Names that come after this one.")] = "",
    count: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Names:
    """List who is enrolled, in pages."""
    store = caller.provider.store
    with store.database.reading() as connection:
        names = store.persons(connection, store.collection(connection, collection), after=after, count=count)
    return Names(persons=names, next=names[-1] if len(names) == count else None)


@router.get("/{collection}/persons/{person}", response_model=PersonOut)
def get_person(collection: CollectionName, person: PersonName, caller: AdminOrOwn) -> PersonOut:
    """Show a person."""
    store = caller.provider.store
    with store.database.reading() as connection:
        found = store.person(connection, store.collection(connection, collection), person)
    return person_out(caller.provider, found)


@router.get("/{collection}/persons/{person}/export", response_model=PersonExport)
def export_person(collection: CollectionName, person: PersonName, caller: Admin) -> PersonExport:
    """Hand out everything held of a person, templates included."""
    store = caller.provider.store
    with store.database.writing() as connection:
        found = store.person(connection, store.collection(connection, collection), person)
        caller.note(connection, "export", "done", collection=collection, person=person)
    return PersonExport(
        **person_out(caller.provider, found).model_dump(),
        embeddings=[None if template.row is None else template.row.tolist() for template in found.templates],
        fingerprint=store.fingerprint,
    )


@router.delete("/{collection}/persons/{person}", status_code=204)
def delete_person(collection: CollectionName, person: PersonName, caller: AdminOrOwn) -> None:
    """Delete a person with every template of theirs."""
    store = caller.provider.store
    with store.database.writing() as connection:
        place = store.collection(connection, collection)
        store.delete_person(connection, place, person)
        caller.note(connection, "delete_person", "done", collection=collection, person=person)
    store.search.removed(place.id)

"""Storage of collections, persons and their templates."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError

from facemin.service.api.errors import bad_input, conflict, not_found
from facemin.service.storage.records import Binding, CarrierPolicy, Collection, Counts, Kind, Person, Policy, Template
from facemin.service.storage.replay import forget_answers
from facemin.service.storage.sealing import bound_templates, check_sealing, opened, owner
from facemin.service.storage.session_ends import end_sessions
from facemin.service.storage.tables import collections, persons, removed, templates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Connection, Row

    from facemin.service.storage.crypto import TemplateCipher
    from facemin.service.storage.database import Database
    from facemin.service.storage.search.memory import Search

_COLLECTION = select(*(column for column in collections.c if column.name != "revision"))


class TemplateStore:
    """Templates at rest, encrypted and bound to whose they are, by name, and to what made them.

    Args:
        database: where they are.
        cipher: of the provider's master key.
        search: how a collection is searched.
        fingerprint: of the recogniser that makes and compares templates now (`Recogniser.fingerprint`).
        size: length D of its embeddings.

    Raises:
        ValueError: the master key is not the one that the store was made with.
    """

    def __init__(
        self, database: Database, cipher: TemplateCipher, search: Search, *, fingerprint: str, size: int
    ) -> None:
        self.database, self.search, self.fingerprint, self.size = database, search, fingerprint, size
        self._cipher = cipher
        check_sealing(database, cipher)

    def make_collection(
        self,
        connection: Connection,
        name: str,
        *,
        accept_plain: bool,
        far: float,
        pseudonyms: Policy = "allowed",
        carriers: CarrierPolicy = "off",
    ) -> None:
        """Make an empty collection.

        Raises:
            ServiceError: there is one of that name (409).
        """
        values = {
            "name": name,
            "accept_plain": accept_plain,
            "far": far,
            "pseudonyms": pseudonyms,
            "carriers": carriers,
            "revision": 0,
            "created": time.time(),
        }
        try:
            with connection.begin_nested():
                made = connection.scalars(collections.insert().values(values).returning(collections.c.id)).one()
        except IntegrityError:
            raise conflict("collection_exists", f"collection: expected a free name, got {name!r}") from None
        self.search.made(connection, made)

    def collections(self, connection: Connection) -> list[Collection]:
        """All of them, by name."""
        return [_collection(row) for row in connection.execute(_COLLECTION.order_by(collections.c.name))]

    def collection(self, connection: Connection, name: str, *, hold: bool = False) -> Collection:
        """The collection of that name; with `hold` nobody deletes it before the transaction ends.

        Raises:
            ServiceError: there is none (404).
        """
        wanted = _COLLECTION.where(collections.c.name == name)
        if hold:
            wanted = wanted.with_for_update(read=True, key_share=True)
        row = connection.execute(wanted).one_or_none()
        if row is None:
            raise not_found("collection", name)
        return _collection(row)

    def counts(self, connection: Connection, collection: Collection) -> Counts:
        """How many people and templates a collection holds; takes time where there are many."""
        here = templates.c.collection_id == collection.id
        people = connection.scalar(select(func.count()).where(persons.c.collection_id == collection.id))
        faces = connection.scalar(select(func.count()).where(here))
        fresh = connection.scalar(select(func.count()).where(here, templates.c.fingerprint == self.fingerprint))
        return Counts(people or 0, faces or 0, (faces or 0) - (fresh or 0))

    def change_collection(self, connection: Connection, name: str, **values: Any) -> None:
        """Set `accept_plain`, `far`, `pseudonyms` or `carriers`.

        Raises:
            ServiceError: there is none of that name (404).
        """
        if connection.execute(update(collections).where(collections.c.name == name).values(values)).rowcount == 0:
            raise not_found("collection", name)

    def delete_collection(self, connection: Connection, name: str) -> int:
        """Delete a collection with all its people and sessions; its number, for `Search.dropped` once committed.

        Raises:
            ServiceError: there is none of that name (404).
        """
        number = connection.scalar(select(collections.c.id).where(collections.c.name == name))
        if number is None:
            raise not_found("collection", name)
        forget_answers(connection, persons.c.collection_id == number)
        connection.execute(collections.delete().where(collections.c.id == number))
        end_sessions(connection, "deleted", name)
        return int(number)

    def enrol(
        self,
        connection: Connection,
        collection: Collection,
        name: str,
        rows: NDArray[np.float32],
        *,
        kinds: Sequence[Kind],
        key_ids: Sequence[str],
        binding: Binding | None = None,
        replace: bool = False,
        most: int = 16,
        asker: str | None = None,
        check: Callable[[Person | None], None] | None = None,
    ) -> Person:
        """Add templates to a person, who is made where there is none of that name.

        Args:
            connection: a writing transaction; nothing is seen of it before it is committed.
            collection: where.
            name: of the person.
            rows: unit float32 (N, D).
            kinds: what each was made from, N of them.
            key_ids: which key each was made for, N of them.
            binding: of all of them, where their kind is "pseudonym".
            replace: take out the person's earlier templates (re-enrolment), and end their sessions.
            most: templates a person may have.
            asker: id of who asks; a session of that id goes on.
            check: told of the person as they are, None where there is none; nobody else changes them until the
                transaction ends, and what it raises ends it.

        Raises:
            ServiceError: what `check` raises; the collection is gone (404), or the person would have too many
                templates (422).
        """
        revision = self._grow(connection, collection)
        if check is not None:
            check(self.find(connection, collection, name))
        now = time.time()
        mine = (persons.c.collection_id == collection.id) & (persons.c.name == name)
        person = connection.scalar(select(persons.c.id).where(mine))
        if person is None:
            values = {"collection_id": collection.id, "name": name, "created": now}
            person = connection.scalars(persons.insert().values(values).returning(persons.c.id)).one()
        elif replace:
            self._remove_templates(connection, collection.id, person, revision)
            end_sessions(connection, "replaced", collection.name, name, but=asker)
        had = connection.scalar(select(func.count()).where(templates.c.person_id == person)) or 0
        if had + len(rows) > most:
            raise bad_input(
                f"uploads: expected at most {most} templates a person, got {had} there and {len(rows)} more",
                code="too_many_templates",
            )
        ids = []
        for row, kind, key_id in zip(rows, kinds, key_ids, strict=True):
            pseudonym = binding if binding is not None else Binding("", 0, "")
            bound = owner(collection.id, collection.name, person, name, kind, key_id, self.fingerprint, *pseudonym)
            values = {
                "collection_id": collection.id,
                "person_id": person,
                "fingerprint": self.fingerprint,
                "kind": kind,
                "key_id": key_id,
                **pseudonym._asdict(),
                "revision": revision,
                "sealed": self._cipher.seal(row, owner=bound),
                "created": now,
            }
            ids.append(connection.scalars(templates.insert().values(values).returning(templates.c.id)).one())
        self.search.added(connection, collection.id, ids, rows)
        return self.person(connection, collection, name)

    def person(self, connection: Connection, collection: Collection, name: str) -> Person:
        """The person of that name with their templates.

        Raises:
            ServiceError: there is none (404).
        """
        found = self.find(connection, collection, name)
        if found is None:
            raise not_found("person", name)
        return found

    def find(self, connection: Connection, collection: Collection, name: str) -> Person | None:
        """The person of that name with their templates, or None."""
        mine = (persons.c.collection_id == collection.id) & (persons.c.name == name)
        row = connection.execute(select(persons).where(mine)).one_or_none()
        return self._person(connection, row) if row is not None else None

    def epoch(self, connection: Connection, collection: Collection, *, person: str | None, possession: str = "") -> int:
        """The latest epoch of a person's pseudonyms, or of all those that a possession key signs; 0 where none is."""
        wanted = select(func.max(templates.c.epoch)).where(templates.c.collection_id == collection.id)
        if person is None:
            wanted = wanted.where(templates.c.possession == possession, templates.c.kind == "pseudonym")
        else:
            wanted = wanted.join(persons, persons.c.id == templates.c.person_id).where(persons.c.name == person)
        return int(connection.scalar(wanted) or 0)

    def persons(self, connection: Connection, collection: Collection, *, after: str, count: int) -> list[str]:
        """Names of up to `count` persons that come after a name, in order."""
        wanted = select(persons.c.name).where(persons.c.collection_id == collection.id, persons.c.name > after)
        return list(connection.scalars(wanted.order_by(persons.c.name).limit(count)))

    def delete_person(self, connection: Connection, collection: Collection, name: str) -> None:
        """Delete a person, every template of theirs and every remembered answer that names them; end their sessions.

        Raises:
            ServiceError: there is none of that name (404).
        """
        revision = self._grow(connection, collection)
        mine = (persons.c.collection_id == collection.id) & (persons.c.name == name)
        person = connection.scalar(select(persons.c.id).where(mine))
        if person is None:
            raise not_found("person", name)
        self._remove_templates(connection, collection.id, person, revision)
        forget_answers(connection, persons.c.id == person)
        connection.execute(persons.delete().where(persons.c.id == person))
        end_sessions(connection, "deleted", collection.name, name)

    def nearest(
        self,
        collection: Collection,
        rows: NDArray[np.float32],
        count: int,
        *,
        pool: str = "",
        connection: Connection | None = None,
    ) -> list[list[Person]]:
        """For each unit row (B, D) the `count` persons with the nearest templates, best first.

        Args:
            collection: where to look.
            rows: float32.
            count: most persons a row.
            pool: as in `Search.nearest`.
            connection: a transaction to read in; one of its own when None.
        """
        if connection is None:
            with self.database.reading() as own:
                return self.nearest(collection, rows, count, pool=pool, connection=own)
        hits = self.search.nearest(connection, collection.id, rows, count, pool=pool)
        wanted = {hit.person for found in hits for hit in found}
        here = persons.c.collection_id == collection.id
        rows_of = connection.execute(select(persons).where(here, persons.c.id.in_(wanted)))
        known = {row.id: self._person(connection, row) for row in rows_of}
        # somebody may have been deleted since the search
        return [[known[hit.person] for hit in found if hit.person in known] for found in hits]

    def warm(self) -> None:
        """Read every collection into memory, so that no request has to wait for that."""
        with self.database.reading() as connection:
            for collection in self.collections(connection):
                self.search.nearest(connection, collection.id, np.zeros((1, self.size), np.float32), 1)

    def still(self, connection: Connection, people: frozenset[int]) -> frozenset[int]:
        """Which of some persons, by number, have not been deleted."""
        return frozenset(connection.scalars(select(persons.c.id).where(persons.c.id.in_(people))))

    def _person(self, connection: Connection, row: Row[Any]) -> Person:
        wanted = bound_templates(templates.c.id, templates.c.created, templates.c.sealed)
        theirs = wanted.where(templates.c.person_id == row.id).order_by(templates.c.id)
        held = tuple(
            Template(
                id=found.id,
                kind=found.kind,
                key_id=found.key_id,
                fingerprint=found.fingerprint,
                created=found.created,
                binding=Binding(found.space, found.epoch, found.possession) if found.kind == "pseudonym" else None,
                row=opened(self._cipher, found) if found.fingerprint == self.fingerprint else None,
            )
            for found in connection.execute(theirs)
        )
        return Person(id=row.id, name=row.name, created=row.created, templates=held)

    def _grow(self, connection: Connection, collection: Collection) -> int:
        """The collection's next revision; its row stays locked until the transaction ends."""
        grown = update(collections).where(collections.c.id == collection.id).values(revision=collections.c.revision + 1)
        revision = connection.scalar(grown.returning(collections.c.revision))
        if revision is None:
            raise not_found("collection", collection.name)
        return int(revision)

    def _remove_templates(self, connection: Connection, collection: int, person: int, revision: int) -> None:
        gone = connection.scalars(select(templates.c.id).where(templates.c.person_id == person)).all()
        connection.execute(templates.delete().where(templates.c.person_id == person))
        if gone:
            values = [{"template_id": number, "collection_id": collection, "revision": revision} for number in gone]
            connection.execute(removed.insert(), values)


def _collection(row: Row[Any]) -> Collection:
    return Collection(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it

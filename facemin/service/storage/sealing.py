"""Binding of encrypted templates to their owners, and the sealing anew of those that an earlier version bound to less.

Associated data (AES-GCM) holds whose a template is, by number and by name, what it was made from and for which key; of
a pseudonym also its space, its epoch and the key that signs its person's uploads. So a row that was moved, or any of
these that was changed in the database, is found when it is opened.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import select, text, update

from facemin.service.api.errors import ServiceError
from facemin.service.storage.tables import collections, meta, persons, templates

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sqlalchemy import Connection, Row, Select

    from facemin.service.storage.crypto import TemplateCipher
    from facemin.service.storage.database import Database

BINDING = 3
"""Version of what templates are bound to."""
CANARY = np.arange(4, dtype=np.float32)
"""Sealed once when a store is made, to tell a wrong master key at once."""
AT_ONCE = 4096
"""Templates that are sealed anew before the next are read."""

BOUND = (
    templates.c.collection_id,
    collections.c.name.label("collection_name"),
    templates.c.person_id,
    persons.c.name.label("person_name"),
    templates.c.kind,
    templates.c.key_id,
    templates.c.fingerprint,
    templates.c.space,
    templates.c.epoch,
    templates.c.possession,
)
"""Columns that a template is bound to, in this order."""
BOUND_BEFORE = 7
"""How many of them version 2 bound, the first ones."""


def bound_templates(*columns: Any) -> Select[Any]:
    """A query of templates with what they are bound to (`BOUND`) and further columns."""
    return (
        select(*BOUND, *columns)
        .select_from(templates)
        .join(persons, persons.c.id == templates.c.person_id)
        .join(collections, collections.c.id == templates.c.collection_id)
    )


def owner(*bound: int | str) -> str:
    """What a template is bound to, as one text: values of `BOUND`, each readable in one way only."""
    return _text(BINDING, *bound)


def _text(version: int, *bound: int | str) -> str:
    return json.dumps([f"facemin template {version}", *bound], ensure_ascii=True, separators=(",", ":"))


def owner_of(row: Row[Any]) -> str:
    """The same of a row of `bound_templates`."""
    return owner(*row[: len(BOUND)])


def opened(cipher: TemplateCipher, row: Row[Any]) -> NDArray[np.float32]:
    """The template in a row of `bound_templates(templates.c.sealed, ...)`.

    Raises:
        ServiceError: it is damaged, or not sealed for what the row says (503).
    """
    try:
        return cipher.open(row.sealed, owner=owner_of(row))
    except ValueError as error:
        raise ServiceError(503, "store_damaged", f"store: {error}") from None


def check_sealing(database: Database, cipher: TemplateCipher) -> None:
    """Check the master key, and bind what an earlier version sealed to all of `BOUND`, once and in one transaction.

    Names as they stand at that moment are taken for right.

    Raises:
        ValueError: the master key is not the one that the store was made with.
        ServiceError: a template is damaged; nothing was changed then.
    """
    with database.reading() as connection:
        done = _version(connection) == BINDING
        _check_master_key(cipher, _noted(connection, "canary"))
    if done:
        return
    with database.writing() as connection:
        if database.kind == "postgresql":
            # several servers may start at once
            connection.execute(text("SELECT pg_advisory_xact_lock(7106353)"))
        canary = _noted(connection, "canary")
        _check_master_key(cipher, canary)
        if canary is None:
            value = cipher.seal(CANARY, owner="canary").hex()
            connection.execute(meta.insert().values(name="canary", value=value))
        version = _version(connection)
        if version < BINDING:
            _bind_anew(connection, cipher, version)
            connection.execute(meta.delete().where(meta.c.name == "binding"))
            connection.execute(meta.insert().values(name="binding", value=str(BINDING)))


def _version(connection: Connection) -> int:
    """Of what the store's templates are bound to; the first was not noted.

    Raises:
        ValueError: a later one than this version of facemin knows.
    """
    version = int(_noted(connection, "binding") or 1)
    if version > BINDING:
        raise ValueError(f"store: expected templates bound by version {BINDING} or lower, got {version}")
    return version


def _owner_before(row: Row[Any], version: int) -> str:
    """What an earlier version bound a template to: the first to numbers and the model alone."""
    if version == 1:
        return f"{row.collection_id} {row.person_id} {row.fingerprint}"
    return _text(version, *row[:BOUND_BEFORE])


def _bind_anew(connection: Connection, cipher: TemplateCipher, version: int) -> None:
    after = 0
    wanted = bound_templates(templates.c.id, templates.c.sealed).order_by(templates.c.id).limit(AT_ONCE)
    while rows := connection.execute(wanted.where(templates.c.id > after)).all():
        for row in rows:
            try:
                value = cipher.open(row.sealed, owner=_owner_before(row, version))
            except ValueError as error:
                raise ServiceError(503, "store_damaged", f"store: template {row.id}: {error}") from None
            sealed = cipher.seal(value, owner=owner_of(row))
            connection.execute(update(templates).where(templates.c.id == row.id).values(sealed=sealed))
        after = rows[-1].id


def _check_master_key(cipher: TemplateCipher, canary: str | None) -> None:
    if canary is None:
        return
    try:
        cipher.open(bytes.fromhex(canary), owner="canary")
    except ValueError:
        raise ValueError(
            "master key: expected the one that this store's templates were encrypted with, got another"
        ) from None


def _noted(connection: Connection, name: str) -> str | None:
    value: str | None = connection.scalar(select(meta.c.value).where(meta.c.name == name))
    return value

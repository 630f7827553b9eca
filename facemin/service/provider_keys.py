"""The provider's keys: the current one, replaced ones that still count for a while, and revoked ones."""

from __future__ import annotations

import hashlib
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import func, select, update

from facemin.keys.key import Key
from facemin.service.api.errors import ServiceError, bad_input, not_found
from facemin.service.storage.tables import protectors, provider_keys

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row

    from facemin.keys.manifest import Manifest
    from facemin.service.storage.database import Database

ALL_KEYS = select(*(column for column in provider_keys.c if column.name != "data")).order_by(
    provider_keys.c.number.desc()
)
"""The newest first, without their files, which may have many megabytes."""


def key_prefix(fingerprint: str) -> str:
    """How the ids of all keys of a recogniser begin."""
    return f"{fingerprint[:8]}-"


State = Literal["current", "replaced", "ended", "revoked"]


@dataclass(frozen=True, kw_only=True)
class HeldKey:
    """One key and where it stands."""

    key_id: str
    fingerprint: str
    """SHA-256 of the file: what clients pin."""
    number: int
    """Its version, from 1."""
    created: float
    expires: float | None
    until: float | None
    """End of the overlap, once it was replaced."""
    revoked: float | None

    def state(self, now: float, newest: int) -> State:
        """Whether uploads for it are taken: "current" and "replaced" are."""
        if self.revoked is not None:
            return "revoked"
        if any(end is not None and now >= end for end in (self.expires, self.until)):
            return "ended"
        return "current" if self.number == newest else "replaced"


class Keyring:
    """Reads keys from the database; a key's file is read and parsed once.

    Args:
        database: where they are.
        fingerprint: of the recogniser; keys made from another one have ended, whatever their time.
    """

    def __init__(self, database: Database, fingerprint: str) -> None:
        self._database, self._prefix = database, key_prefix(fingerprint)
        self._files: dict[str, bytes] = {}
        self._manifests: dict[str, Manifest] = {}
        self._lock = threading.Lock()

    def all(self, connection: Connection | None = None) -> list[tuple[HeldKey, State]]:
        """Every key with its state, the newest first; read in a transaction of its own where none is given."""
        with self._database.reading() if connection is None else nullcontext(connection) as reading:
            held = [_held(row) for row in reading.execute(ALL_KEYS)]
        newest, now = (held[0].number if held else 0), time.time()
        return [(key, key.state(now, newest) if key.key_id.startswith(self._prefix) else "ended") for key in held]

    def current(self) -> HeldKey:
        """The key that clients should use.

        Raises:
            ServiceError: there is none, or it was revoked or has ended (503): the provider has to rotate it.
        """
        for key, state in self.all():
            if state == "current":
                return key
        raise ServiceError(503, "no_key", "key: expected a current one, got none; the provider has to rotate it")

    def file(self, key: HeldKey) -> bytes:
        """A key's file."""
        # one at a time: a hundred first readers would hold a hundred copies
        with self._lock:
            if key.fingerprint not in self._files:
                with self._database.reading() as connection:
                    mine = provider_keys.c.key_id == key.key_id
                    self._files[key.fingerprint] = connection.scalars(select(provider_keys.c.data).where(mine)).one()
            return self._files[key.fingerprint]

    def protector(self, fingerprint: str) -> bytes:
        """The file of a one-pass protector, by its SHA-256.

        Raises:
            ServiceError: there is none (404).
        """
        with self._lock:
            if fingerprint not in self._files:
                with self._database.reading() as connection:
                    mine = protectors.c.fingerprint == fingerprint
                    data = connection.scalar(select(protectors.c.data).where(mine))
                if data is None:
                    raise not_found("protector", fingerprint)
                self._files[fingerprint] = data
            return self._files[fingerprint]

    def manifest(self, key_id: str, connection: Connection | None = None) -> Manifest:
        """The manifest of a key for which uploads are taken; `connection` as for `all`.

        Raises:
            ServiceError: unknown, revoked, expired, or its overlap has ended (422, with the code).
        """
        for key, state in self.all(connection):
            if key.key_id != key_id:
                continue
            if state not in ("current", "replaced"):
                raise bad_input(f"key_id: expected a key in force, got {key_id}, which is {state}", code=f"key_{state}")
            if key.fingerprint not in self._manifests:
                self._manifests[key.fingerprint] = Key.load(self.file(key), allow_expired=True).manifest
            return self._manifests[key.fingerprint]
        raise bad_input(f"key_id: expected one of this provider's, got {key_id!r:.80}", code="unknown_key")


def add_key(connection: Connection, key: Key, *, overlap: float) -> HeldKey:
    """Make a key the current one; the one before it counts for `overlap` seconds more.

    Raises:
        ValueError: there is a key of that id.
    """
    manifest, now = key.manifest, time.time()
    if connection.scalar(select(provider_keys.c.key_id).where(provider_keys.c.key_id == manifest.key_id)) is not None:
        raise ValueError(f"key_id: expected a new one, got {manifest.key_id!r}, which this provider has used")
    newest = connection.scalar(select(func.max(provider_keys.c.number))) or 0
    open_end = provider_keys.c.until.is_(None)
    connection.execute(update(provider_keys).where(open_end).values(until=now + overlap))
    values: dict[str, Any] = {
        "key_id": manifest.key_id,
        "fingerprint": key.fingerprint,
        "number": newest + 1,
        "created": manifest.created.timestamp(),
        "expires": manifest.expires.timestamp() if manifest.expires is not None else None,
        "until": None,
        "revoked": None,
    }
    connection.execute(provider_keys.insert().values(values | {"data": key.data}))
    return HeldKey(**values)


def keep_protector(connection: Connection, data: bytes) -> str:
    """Keep a one-pass protector's file for the keys that name it; its SHA-256."""
    fingerprint = hashlib.sha256(data).hexdigest()
    mine = protectors.c.fingerprint == fingerprint
    if connection.scalar(select(protectors.c.fingerprint).where(mine)) is None:
        connection.execute(protectors.insert().values(fingerprint=fingerprint, data=data))
    return fingerprint


def revoke_key(connection: Connection, key_id: str) -> None:
    """Refuse uploads for a key, and give it to nobody, from now on.

    Raises:
        ServiceError: there is none of that id (404).
    """
    mine = provider_keys.c.key_id == key_id
    if connection.scalar(select(provider_keys.c.number).where(mine)) is None:
        raise not_found("key", key_id)
    open_end = provider_keys.c.revoked.is_(None)
    connection.execute(update(provider_keys).where(mine, open_end).values(revoked=time.time()))


def _held(row: Row[Any]) -> HeldKey:
    return HeldKey(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it

"""Nearest-template search in memory, in step with the database."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

import numpy as np
from sqlalchemy import select

from facemin.service.storage.sealing import bound_templates, opened
from facemin.service.storage.search.vector_index import VectorIndex
from facemin.service.storage.tables import collections, removed, templates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from facemin.service.storage.crypto import TemplateCipher
    from facemin.service.storage.database import Database
    from facemin.service.storage.search.vector_index import Hit

SWEEP_SECONDS = 30.0
"""How often a search looks at the other collections in memory too."""

AT_ONCE = 8192
"""Templates that are decrypted at a time when a collection is read into memory."""


class Search(Protocol):
    """How a collection is searched."""

    def nearest(
        self, connection: Connection, collection: int, rows: NDArray[np.float32], count: int, *, pool: str = ""
    ) -> list[list[Hit]]:
        """The `count` nearest persons of a collection for each unit row (B, D), best first, in any transaction.

        Only templates of one pool count: "" holds all but pseudonyms; a possession key in hexadecimal names the
        pseudonyms that are signed with it.
        """

    def added(self, connection: Connection, collection: int, ids: Sequence[int], rows: NDArray[np.float32]) -> None:
        """Called in the transaction that adds templates."""

    def made(self, connection: Connection, collection: int) -> None:
        """Called in the transaction that makes a collection."""

    def dropped(self, collection: int) -> None:
        """Called after a collection was deleted."""

    def removed(self, collection: int) -> None:
        """Called after templates of a collection were deleted."""


@dataclass(kw_only=True)
class _Held:
    """One collection in memory and the revision it stands at."""

    matrix: VectorIndex
    revision: int = -1
    lock: threading.Lock = field(default_factory=threading.Lock)


class MemorySearch:
    """Exact search over decrypted templates in memory.

    Before each search one query asks for the collection's revision, and only what changed since is read. So several
    servers on one database, and the command line beside them, see each other's changes at once.

    Args:
        database: where the templates are.
        cipher: opens them.
        fingerprint: of the recogniser; templates of another model are never read.
        size: length D of an embedding.
    """

    def __init__(self, database: Database, cipher: TemplateCipher, *, fingerprint: str, size: int) -> None:
        self._database, self._cipher = database, cipher
        self._fingerprint, self._size = fingerprint, size
        self._held: dict[int, _Held] = {}
        self._lock = threading.Lock()
        self._swept = time.monotonic()

    def nearest(
        self, connection: Connection, collection: int, rows: NDArray[np.float32], count: int, *, pool: str = ""
    ) -> list[list[Hit]]:
        """See `Search`; for a collection that is gone, nobody."""
        with self._lock:
            held = self._held.setdefault(collection, _Held(matrix=VectorIndex(self._size)))
        self._sweep(connection, but=collection)
        with held.lock:
            self._follow(connection, collection, held)
            return [held.matrix.search(row, count, pool=_number(pool)) for row in rows]

    def added(self, connection: Connection, collection: int, ids: Sequence[int], rows: NDArray[np.float32]) -> None:
        """Nothing to do: the next search follows the collection's revision."""

    def made(self, connection: Connection, collection: int) -> None:
        """Nothing to do."""

    def dropped(self, collection: int) -> None:
        """Forget a collection's rows."""
        with self._lock:
            self._held.pop(collection, None)

    def removed(self, collection: int) -> None:
        """Forget them here; other servers do within `SWEEP_SECONDS` of any search, or at once when they search it."""
        held = self._held.get(collection)
        if held is not None:
            with self._database.reading() as connection, held.lock:
                self._follow(connection, collection, held)

    def _sweep(self, connection: Connection, *, but: int) -> None:
        """Let go of what was deleted through another server."""
        with self._lock:
            now = time.monotonic()
            if now - self._swept < SWEEP_SECONDS:
                return
            self._swept = now
            others = [(number, held) for number, held in self._held.items() if number != but]
        for number, held in others:
            with held.lock:
                self._follow(connection, number, held)
                gone = held.revision == -1
            if gone:
                self.dropped(number)

    def size(self, collection: int) -> int:
        """Templates held in memory."""
        held = self._held.get(collection)
        return len(held.matrix) if held is not None else 0

    def _follow(self, connection: Connection, collection: int, held: _Held) -> None:
        revision = connection.scalar(select(collections.c.revision).where(collections.c.id == collection))
        if revision is None:
            held.matrix, held.revision = VectorIndex(self._size), -1
            return
        # a transaction that began earlier may see an older state than another request has read since
        if revision <= held.revision:
            return
        gone = connection.scalars(
            select(removed.c.template_id).where(
                removed.c.collection_id == collection, removed.c.revision > held.revision
            )
        ).all()
        if gone and len(held.matrix):
            held.matrix.remove(np.array(gone, np.int64))
        try:
            self._read(connection, collection, held)
        except BaseException:
            # a part is there that no revision tells of; the next search starts anew
            held.matrix, held.revision = VectorIndex(self._size), -1
            raise
        held.revision = revision

    def _read(self, connection: Connection, collection: int, held: _Held) -> None:
        wanted = (
            bound_templates(templates.c.id, templates.c.sealed)
            .where(templates.c.collection_id == collection, templates.c.revision > held.revision)
            .where(templates.c.fingerprint == self._fingerprint)
        )
        with connection.execute(wanted, execution_options={"yield_per": AT_ONCE}) as found:
            for part in found.partitions():
                held.matrix.add(
                    np.array([row.id for row in part], np.int64),
                    np.array([row.person_id for row in part], np.int64),
                    np.stack([opened(self._cipher, row) for row in part]),
                    np.array([_number(row.possession) for row in part], np.int64),
                )


def _number(pool: str) -> int:
    """Of a pool: 63 bits of a hash; two that met would only be looked at in vain, since decisions compare the keys."""
    return int.from_bytes(sha256(pool.encode()).digest()[:8], "big") >> 1 if pool else 0

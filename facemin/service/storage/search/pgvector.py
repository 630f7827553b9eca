"""Search inside PostgreSQL with pgvector, for several servers: exact, or approximate with HNSW.

pgvector has to read what it compares, so templates lie unencrypted in the table `vectors`: whoever reads the database,
or a copy of it, has every template. That is the price of this setting (docs/service/threat-model.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, text
from sqlalchemy.exc import DatabaseError

from facemin.service.api.errors import ServiceError
from facemin.service.storage.sealing import bound_templates, check_sealing, opened
from facemin.service.storage.search.vector_index import Hit
from facemin.service.storage.tables import collections, templates

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy import Connection

    from facemin.service.storage.crypto import TemplateCipher
    from facemin.service.storage.database import Database

_EXACT_SQL = (
    "SELECT person_id, max(score) AS best FROM (SELECT person_id, -(embedding <#> CAST(:query AS vector)) AS score "
    "FROM vectors WHERE collection_id = :collection AND pool = :pool AND fingerprint = :fingerprint) AS scored "
    "GROUP BY person_id ORDER BY best DESC, person_id LIMIT :count"
)
_NEAREST_SQL = (
    "SELECT person_id, -(embedding <#> CAST(:query AS vector)) AS score, fingerprint FROM vectors "
    "WHERE collection_id = {collection:d} AND pool = '' ORDER BY embedding <#> CAST(:query AS vector) LIMIT :most"
)


class VectorSearch:
    """Search by pgvector.

    Args:
        database: PostgreSQL with the extension `vector` installed.
        cipher: opens templates that were enrolled while another search was set, to put them in plain beside the rest.
        fingerprint: of the recogniser; templates of another model are not compared.
        size: length D of an embedding.
        hnsw: approximate search: faster where there are many, but may miss the nearest. Each collection has an index
            of its own, so that no search touches another collection's templates; pseudonyms are in none, and are
            searched exactly within their pool.
        breadth: candidates HNSW looks at (`hnsw.ef_search`, 1 to 1000).

    Raises:
        ValueError: another database than PostgreSQL, or the extension is not installed.
        ServiceError: the database does not answer (503).
    """

    def __init__(
        self,
        database: Database,
        cipher: TemplateCipher,
        *,
        fingerprint: str,
        size: int,
        hnsw: bool = False,
        breadth: int = 200,
    ) -> None:
        if database.kind != "postgresql":
            raise ValueError(f"search: expected PostgreSQL for pgvector, got {database.kind}")
        self._database, self._fingerprint, self._size = database, fingerprint, size
        self._hnsw, self._breadth = hnsw, breadth
        check_sealing(database, cipher)
        try:
            with database.writing() as connection:
                connection.execute(text("SELECT pg_advisory_xact_lock(7106352)"))
                connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
                self._drop_other_columns(connection)
                connection.execute(text(_TABLE.format(size=size)))
                connection.execute(text("CREATE INDEX IF NOT EXISTS vectors_in ON vectors (collection_id, pool)"))
                self._fill(connection, cipher)
                for number in connection.scalars(select(collections.c.id)).all():
                    self.made(connection, number)
        except (DatabaseError, ServiceError) as error:
            raise ValueError(f"search: expected PostgreSQL with the extension vector, got: {error}") from error

    def nearest(
        self, connection: Connection, collection: int, rows: NDArray[np.float32], count: int, *, pool: str = ""
    ) -> list[list[Hit]]:
        """See `Search`."""
        return [self._one(connection, collection, row, count, pool) for row in rows]

    def added(
        self,
        connection: Connection,
        collection: int,  # noqa: ARG002 - `Search` names it
        ids: Sequence[int],
        rows: NDArray[np.float32],
    ) -> None:
        """Put the vectors beside their templates; they are deleted with them."""
        statement = text(
            "INSERT INTO vectors (template_id, collection_id, person_id, fingerprint, pool, embedding) "
            "SELECT id, collection_id, person_id, fingerprint, possession, CAST(:vector AS vector) "
            "FROM templates WHERE id = :id"
        )
        connection.execute(statement, [{"id": at, "vector": _text(row)} for at, row in zip(ids, rows, strict=True)])

    def made(self, connection: Connection, collection: int) -> None:
        """Give a new collection its own HNSW index."""
        if self._hnsw:
            connection.execute(
                text(
                    f"CREATE INDEX IF NOT EXISTS vectors_hnsw_{collection:d} ON vectors "
                    f"USING hnsw (embedding vector_ip_ops) WHERE collection_id = {collection:d} AND pool = ''"
                )
            )

    def removed(self, collection: int) -> None:
        """Nothing to do: vectors are deleted with their templates."""

    def dropped(self, collection: int) -> None:
        """Remove a collection's own index."""
        with self._database.writing() as connection:
            connection.execute(text(f"DROP INDEX IF EXISTS vectors_hnsw_{collection:d}"))

    def _drop_other_columns(self, connection: Connection) -> None:
        """Vectors of another embedding's size or of an earlier version are copies, made anew from the templates."""
        column = "SELECT atttypmod FROM pg_attribute WHERE attrelid = to_regclass('vectors') AND attname = 'embedding'"
        size = connection.scalar(text(column))
        pools = "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('vectors') AND attname = 'pool'"
        if size is not None and (size != self._size or not connection.scalar(text(pools))):
            connection.execute(text("DROP TABLE vectors"))

    def _fill(self, connection: Connection, cipher: TemplateCipher) -> None:
        absent = text("NOT EXISTS (SELECT 1 FROM vectors WHERE template_id = templates.id)")
        wanted = bound_templates(templates.c.id, templates.c.sealed)
        missing = wanted.where(templates.c.fingerprint == self._fingerprint, absent)
        for row in connection.execute(missing).all():
            self.added(connection, row.collection_id, [row.id], opened(cipher, row)[None])

    def _one(
        self, connection: Connection, collection: int, row: NDArray[np.float32], count: int, pool: str
    ) -> list[Hit]:
        values = {"query": _text(row), "fingerprint": self._fingerprint, "count": count}
        if not self._hnsw or pool:
            found = connection.execute(text(_EXACT_SQL), values | {"collection": collection, "pool": pool})
            return [Hit(person, float(score)) for person, score in found]
        connection.execute(text(f"SET LOCAL hnsw.ef_search = {self._breadth:d}"))
        # the number stands in the text because the planner has to see that the partial index fits
        nearest = text(_NEAREST_SQL.format(collection=int(collection)))
        best: dict[int, float] = {}
        for person, score, fingerprint in connection.execute(nearest, values | {"most": self._breadth}):
            if fingerprint == self._fingerprint:
                best.setdefault(person, float(score))
        return [Hit(person, score) for person, score in list(best.items())[:count]]


_TABLE = (
    "CREATE TABLE IF NOT EXISTS vectors (template_id bigint PRIMARY KEY REFERENCES templates (id) ON DELETE CASCADE, "
    "collection_id bigint NOT NULL, person_id bigint NOT NULL, fingerprint varchar(64) NOT NULL, "
    "pool varchar(64) NOT NULL, embedding vector({size}) NOT NULL)"
)


def _text(row: NDArray[np.float32]) -> str:
    """A vector as pgvector reads it; nine digits give every float32 back."""
    return "[" + ",".join(f"{value:.9g}" for value in row.tolist()) + "]"

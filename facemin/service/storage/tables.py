"""The store's tables, for SQLite and PostgreSQL alike."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

# SQLite numbers rows by itself only where the type is exactly INTEGER
NUMBER = BigInteger().with_variant(Integer(), "sqlite")
MOMENT = Float(53)
"""Seconds since 1970-01-01 UTC."""


def _id() -> Column[int]:
    return Column("id", NUMBER, primary_key=True)


def _of(table: str, *, index: bool = False) -> Column[int]:
    """The row of another table that a row belongs to, and goes with."""
    name = f"{table.removesuffix('s')}_id"
    return Column(name, NUMBER, ForeignKey(f"{table}.id", ondelete="CASCADE"), nullable=False, index=index or None)


def _expires() -> Column[float]:
    """The moment at which a row stops counting and may be deleted."""
    return Column("expires", MOMENT, nullable=False, index=True)


def _ends(*names: str) -> list[Column[float]]:
    """Moments at which a row stops counting, each of which may not come."""
    return [Column(name, MOMENT) for name in names]


meta = Table("meta", metadata, Column("name", String(64), primary_key=True), Column("value", Text, nullable=False))
"""Schema version, version of what templates are bound to, and a sealed row that tells the right master key."""

collections = Table(
    "collections",
    metadata,
    _id(),
    Column("name", String(64), nullable=False, unique=True),
    Column("accept_plain", Boolean, nullable=False),
    Column("far", Float(53), nullable=False),
    Column("pseudonyms", String(16), nullable=False, server_default="allowed"),
    Column("carriers", String(16), nullable=False, server_default="off"),
    Column("revision", BigInteger, nullable=False),
    Column("created", MOMENT, nullable=False),
    sqlite_autoincrement=True,
)
"""`revision` grows with each change of the templates, in the changing transaction itself."""

persons = Table(
    "persons",
    metadata,
    _id(),
    _of("collections"),
    Column("name", String(64), nullable=False),
    Column("created", MOMENT, nullable=False),
    UniqueConstraint("collection_id", "name"),
    sqlite_autoincrement=True,
)

templates = Table(
    "templates",
    metadata,
    _id(),
    _of("collections"),
    _of("persons", index=True),
    Column("fingerprint", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("key_id", String(64), nullable=False),
    Column("space", String(64), nullable=False, server_default=""),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    Column("possession", String(64), nullable=False, server_default=""),
    Column("revision", BigInteger, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created", MOMENT, nullable=False),
    Index("templates_by_revision", "collection_id", "revision"),
    sqlite_autoincrement=True,
)
"""Numbers are never used twice (AUTOINCREMENT), so a removed template cannot come back as another one's.

`space`, `epoch` and `possession` (in hexadecimal: the space's id, and the Ed25519 key that signs the person's uploads)
are those of a pseudonym, and empty, 0 and empty for every other kind.
"""

removed = Table(
    "removed",
    metadata,
    Column("template_id", NUMBER, primary_key=True, autoincrement=False),
    _of("collections"),
    Column("revision", BigInteger, nullable=False),
    Index("removed_by_revision", "collection_id", "revision"),
)
"""Numbers of deleted templates, so that every server takes them out of its memory; nothing else of them stays."""

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("hash", Text, nullable=False),
    Column("grants", Text, nullable=False),
    Column("created", MOMENT, nullable=False),
    *_ends("expires", "revoked"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("parent_id", String(16), ForeignKey("tokens.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("hash", Text, nullable=False),
    Column("scope", String(16), nullable=False),
    Column("collection", String(64), nullable=False),
    Column("person", String(64)),
    Column("created", MOMENT, nullable=False),
    _expires(),
    Column("ended", String(16)),
)
"""Short-lived tokens that lie in a page; gone once they have expired, and in no back-up. `ended` says why one ended
before (`session_ends`)."""

provider_keys = Table(
    "provider_keys",
    metadata,
    Column("key_id", String(64), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("number", Integer, nullable=False, unique=True),
    Column("data", LargeBinary, nullable=False),
    Column("created", MOMENT, nullable=False),
    *_ends("expires", "until", "revoked"),
)
"""`until` ends the overlap of a key that was replaced; the highest number is the current key."""
keys_without_files = Index(
    "provider_keys_without_files",
    provider_keys.c.number,
    *(column for column in provider_keys.c if column.name not in ("number", "data")),
)
"""What every upload asks of the keys: SQLite would read through a file of megabytes to what stands behind it."""

challenges = Table(
    "challenges",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("token_id", String(16), nullable=False),
    _expires(),
)

seen = Table(
    "seen",
    metadata,
    Column("digest", String(64), primary_key=True),
    _expires(),
)
"""Keyed hashes of uploads."""

protectors = Table(
    "protectors",
    metadata,
    Column("fingerprint", String(64), primary_key=True),
    Column("data", LargeBinary, nullable=False),
)
"""One-pass networks by the SHA-256 that a key's manifest names."""

answers = Table(
    "answers",
    metadata,
    Column("token_id", String(16), primary_key=True),
    Column("key", String(80), primary_key=True),
    Column("request", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", Text, nullable=False),
    _expires(),
)
"""Answers to requests with an idempotency key, given again when the request comes again. One whose person was deleted
has the status 404 and no body."""

answered = Table(
    "answered",
    metadata,
    Column("token_id", String(16), primary_key=True),
    Column("key", String(80), primary_key=True),
    Column("person_id", NUMBER, primary_key=True, autoincrement=False, index=True),
    ForeignKeyConstraint(("token_id", "key"), ("answers.token_id", "answers.key"), ondelete="CASCADE"),
)
"""Whom each remembered answer names, so that it goes with them."""

audit = Table(
    "audit",
    metadata,
    _id(),
    Column("at", MOMENT, nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("token_id", String(16)),
    Column("action", String(32), nullable=False),
    Column("collection", String(64)),
    Column("person", String(64)),
    Column("outcome", String(64), nullable=False),
    sqlite_autoincrement=True,
)
"""Append-only: triggers refuse to change, delete or replace a row. `token_id` is null for the command line on the
provider's machine."""

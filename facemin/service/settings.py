"""Provider settings: `provider.json` in its home folder."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from facemin.pseudonym.origin import LOCAL, normalise_origin
from facemin.runtime.faults import faults_named
from facemin.runtime.files import write_atomically
from facemin.runtime.home import home

SETTINGS, MASTER, SIGNING, THRESHOLDS, DATABASE = (
    "provider.json",
    "master.key",
    "signing.pem",
    "thresholds.json",
    "provider.sqlite",
)
"""Files of a provider's home folder."""
PASSWORD = "database.password"  # noqa: S105 - a file's name
"""Another one, where the database is PostgreSQL and its password in no environment variable."""
PASSWORD_VARIABLE = "FACEMIN_DATABASE_PASSWORD"  # noqa: S105 - a variable's name
PRIVATE = 0o600
"""Permissions of each."""


def site_origin(text: str) -> str:
    """An origin as browsers write it: scheme, host and port, and nothing behind them but one slash.

    Raises:
        ValueError: it is none, or an address with a path.
    """
    origin = normalise_origin(text)
    if origin == LOCAL or "/" in text.split("://", 1)[1].removesuffix("/") or {"?", "#"} & set(text):
        raise ValueError(f"origin: expected https://HOST or https://HOST:PORT, got {text!r:.200}")
    return origin


class Settings(BaseModel):
    """A provider's settings; those with a default can be left out of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    provider: str = Field(min_length=1, max_length=200)
    """Whose service it is, for people; goes into the key."""
    model: str
    """Name of the recogniser, in facemin's model store or shipped with it."""
    fingerprint: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of that recogniser; the service does not start with another one."""
    cut: str
    residual: float = Field(gt=0, le=2)

    database: str | None = None
    """URL; None for SQLite in the home folder. Its password belongs elsewhere: see `database_url`."""
    search: Literal["memory", "pgvector", "pgvector-hnsw"] = "memory"
    """"memory": templates are encrypted at rest and compared in this process. The other two let PostgreSQL compare
    them, for which it needs them in plain: whoever reads the database then has every template."""

    key_access: Literal["open", "token"] = "open"
    """Who may fetch the provider key: anybody, or the holder of any token."""
    key_days: float | None = Field(default=90, gt=0)
    """Validity of a key made from now on; None for ever."""
    overlap_days: float = Field(default=14, ge=0)
    """How long uploads for a replaced key are taken."""

    far: float = Field(default=1e-3, gt=0, lt=1)
    """Of a new collection."""
    challenge_seconds: float = Field(default=120, gt=0)
    replay_seconds: float = Field(default=86_400, gt=0)
    """Window in which an upload counts once."""
    answer_seconds: float = Field(default=86_400, gt=0)
    """How long the answer to a request with an idempotency key is kept."""

    feature_uploads: bool = True
    """Take features as well as images."""
    batch: int = Field(default=8, ge=1, le=64)
    """Uploads in one request."""
    templates_per_person: int = Field(default=16, ge=1, le=1000)
    body_bytes: int = Field(default=8 << 20, ge=1 << 16)
    """Longest request."""
    photo_pixels: int = Field(default=16_000_000, ge=112 * 112)
    """Largest plain photo, where a collection takes them."""
    requests_per_minute: float = Field(default=600, gt=0)
    """Of one token."""
    refusals_per_minute: float = Field(default=30, gt=0)
    """Failed logins of one address, before it is made to wait."""
    open_requests_per_minute: float = Field(default=120, gt=0)
    """Requests without a token, of one address."""
    session_seconds: float = Field(default=3600, gt=0, le=86_400)
    """Longest session that a page may be given."""
    session_requests_per_minute: float = Field(default=120, gt=0)
    """Of one session; all sessions of one token together have `requests_per_minute`."""
    page: bool = False
    """Serve the page at `/`."""
    origins: tuple[Annotated[str, AfterValidator(site_origin)], ...] = ()
    """Of other sites whose pages may send requests with a session (CORS); none by default. Kept as browsers write them:
    lower case, without the scheme's own port and a slash at the end."""
    connections: int = Field(default=128, ge=1)
    """Open at once; beyond that the one that has waited longest for its client is closed for a new one."""


def provider_home(given: Path | None) -> Path:
    """The provider's folder: the one given, else `provider` in facemin's own folder for data."""
    return given if given is not None else home() / "provider"


def read_settings(folder: Path) -> Settings:
    """Read a home folder's settings.

    Raises:
        ValueError: the file is not there, or holds something else.
    """
    path = folder / SETTINGS
    try:
        with faults_named(f"{path}: "):
            return Settings.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{path}: expected a provider's settings (facemin provider init), found no file") from None


def write_settings(folder: Path, settings: Settings) -> None:
    """Write a home folder's settings."""
    write_atomically(folder / SETTINGS, (settings.model_dump_json(indent=1) + "\n").encode(), mode=PRIVATE)


def make_private(folder: Path) -> None:
    """Take from everybody but the owner what permissions an earlier version or a hand left on a home's files."""
    beside = tuple(f"{DATABASE}{end}" for end in ("-wal", "-shm", "-journal"))
    for name in (SETTINGS, MASTER, SIGNING, THRESHOLDS, PASSWORD, DATABASE, *beside):
        # one that is not there, or another user's, is left to what opens it
        with suppress(OSError):
            if (folder / name).stat().st_mode & 0o077:
                (folder / name).chmod(PRIVATE)


def database_url(folder: Path, settings: Settings) -> str:
    """Where the provider's database is, with its password.

    A URL without a password takes it from $FACEMIN_DATABASE_PASSWORD, else from the file that
    $FACEMIN_DATABASE_PASSWORD_FILE names, else from `database.password` in the home folder; without any it stays as
    it is (a socket, .pgpass).

    Raises:
        ValueError: the file that the variable names cannot be read.
    """
    if settings.database is None:
        return f"sqlite:///{folder / DATABASE}"
    password = _password(folder)
    try:
        url = make_url(settings.database)
    except ArgumentError:
        # `Database` refuses it, in its own words
        return settings.database
    if url.password is not None or password is None or url.get_backend_name() == "sqlite":
        return settings.database
    return url.set(password=password).render_as_string(hide_password=False)


def split_password(database: str | None) -> tuple[str | None, str | None]:
    """A database's URL without its password, and the password; None where there is none."""
    try:
        url = make_url(database) if database is not None else None
    except ArgumentError:
        return database, None
    if url is None or url.password is None:
        return database, None
    return url._replace(password=None).render_as_string(hide_password=False), str(url.password)


def _password(folder: Path) -> str | None:
    if given := os.environ.get(PASSWORD_VARIABLE):
        return given
    named = os.environ.get(f"{PASSWORD_VARIABLE}_FILE")
    path = Path(named) if named else folder / PASSWORD
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        if named is None and isinstance(error, FileNotFoundError):
            return None
        raise ValueError(f"{path}: expected a file with the database's password, got: {error.strerror}") from None

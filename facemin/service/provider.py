"""A provider: all parts of the service put together over its home folder."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from facemin.models.store import open_graph
from facemin.service.api.errors import bad_input
from facemin.service.provider_keys import Keyring
from facemin.service.recognition.embed import Embedder
from facemin.service.recognition.thresholds import ThresholdSet
from facemin.service.recognition.unprotected_face import PlainFaceCheck
from facemin.service.settings import MASTER, THRESHOLDS, Settings, database_url, make_private, read_settings
from facemin.service.storage.crypto import Secrets, TemplateCipher
from facemin.service.storage.database import Database
from facemin.service.storage.search.memory import MemorySearch
from facemin.service.storage.search.pgvector import VectorSearch
from facemin.service.storage.store import TemplateStore
from facemin.service.telemetry import Telemetry
from facemin.service.token_authenticator import TokenAuthenticator

if TYPE_CHECKING:
    from pathlib import Path

    from facemin.models import RecogniserGraph
    from facemin.service.storage.records import Policy


def has_space(recogniser: RecogniserGraph, cut: str) -> bool:
    """Whether a key of a recogniser at a cut declares a space for pseudonyms: at its output, where it has one."""
    return recogniser.space is not None and cut == recogniser.graph.graph.output[0].name


def checked_policy(wanted: Policy | None, *, space: bool) -> Policy:
    """What a collection says of pseudonyms; where it says nothing, required with a space and off without.

    Raises:
        ServiceError: pseudonyms are required, and the key has no space (422).
    """
    if wanted == "required" and not space:
        raise bad_input(
            "pseudonyms: expected allowed or off, since this provider's key has no space, got required", code="no_space"
        )
    return wanted if wanted is not None else "required" if space else "off"


@dataclass(frozen=True, kw_only=True)
class Provider:
    """Everything that an answer needs, opened once."""

    settings: Settings
    secrets: Secrets
    database: Database
    store: TemplateStore
    keyring: Keyring
    authenticator: TokenAuthenticator
    thresholds: ThresholdSet
    recogniser: RecogniserGraph
    embedder: Embedder
    plain: PlainFaceCheck
    telemetry: Telemetry
    started: float

    @classmethod
    def open(cls, folder: Path, *, page: bool = False) -> Provider:
        """Open a provider's home; with `page` it serves the page, whatever its settings say.

        Raises:
            ValueError: something in it is missing, or does not fit the recogniser or the store.
            ServiceError: the database cannot be opened (503).
        """
        settings = read_settings(folder)
        if page:
            settings = settings.model_copy(update={"page": True})
        make_private(folder)
        recogniser = open_graph(settings.model)
        if recogniser.fingerprint != settings.fingerprint:
            raise ValueError(
                f"{settings.model}: expected the recogniser that the provider was made for "
                f"({settings.fingerprint[:16]}), got another one of that name ({recogniser.fingerprint[:16]})"
            )
        thresholds = _read_thresholds(folder / THRESHOLDS, settings).above_strangers(recogniser.embedding_size)
        secrets = Secrets.load(folder / MASTER)
        database = Database(database_url(folder, settings))
        try:
            store = open_store(database, secrets, settings, recogniser.embedding_size)
        except BaseException:
            database.close()
            raise
        return cls(
            settings=settings,
            secrets=secrets,
            database=database,
            store=store,
            keyring=Keyring(database, settings.fingerprint),
            authenticator=TokenAuthenticator(database),
            thresholds=thresholds,
            recogniser=recogniser,
            embedder=Embedder(recogniser, [settings.cut]),
            plain=PlainFaceCheck(),
            telemetry=Telemetry(),
            started=time.time(),
        )

    def checked_policy(self, wanted: Policy | None) -> Policy:
        """See `checked_policy`."""
        return checked_policy(wanted, space=has_space(self.recogniser, self.settings.cut))

    def close(self) -> None:
        """Finish what is being computed and close the database."""
        self.embedder.close()
        self.database.close()


def open_store(database: Database, secrets: Secrets, settings: Settings, size: int) -> TemplateStore:
    """The store with the search that the settings ask for.

    Raises:
        ValueError: another master key, or pgvector without PostgreSQL.
    """
    cipher = TemplateCipher(secrets=secrets)
    search = (
        MemorySearch(database, cipher, fingerprint=settings.fingerprint, size=size)
        if settings.search == "memory"
        else VectorSearch(
            database,
            cipher,
            fingerprint=settings.fingerprint,
            size=size,
            hnsw=settings.search == "pgvector-hnsw",
        )
    )
    return TemplateStore(database, cipher, search, fingerprint=settings.fingerprint, size=size)


def _read_thresholds(path: Path, settings: Settings) -> ThresholdSet:
    try:
        found = ThresholdSet.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ValueError(f"{path}: expected calibrated thresholds, got: {error}") from None
    if found.fingerprint != settings.fingerprint or found.cut != settings.cut:
        raise ValueError(
            f"{path}: expected thresholds of {settings.fingerprint[:16]} at {settings.cut}, "
            f"got those of {found.fingerprint[:16]} at {found.cut}"
        )
    return found

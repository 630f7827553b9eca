"""Switch of a provider to another recogniser: from one without a space to one with, for instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import func, select

from facemin.models.store import open_graph
from facemin.runtime.faults import faults_named
from facemin.runtime.files import write_atomically
from facemin.service.making import COMMAND_LINE, default_thresholds, rotate
from facemin.service.provider import has_space, open_store
from facemin.service.settings import MASTER, PRIVATE, THRESHOLDS, Settings, database_url, read_settings, write_settings
from facemin.service.storage import audit_log as audit
from facemin.service.storage.crypto import Secrets
from facemin.service.storage.database import Database
from facemin.service.storage.tables import templates

if TYPE_CHECKING:
    from pathlib import Path


class SwitchResult(NamedTuple):
    """What a switch did.

    Attributes:
        key_id: of the first key of the new recogniser.
        templates: that only the old one could compare; their people have to enrol anew.
        allowed: collections that take pseudonyms from now on, and plain and protected uploads as before.
    """

    key_id: str
    templates: int
    allowed: tuple[str, ...]


def switch_model(folder: Path, *, model: str, cut: str, residual: float, force: bool = False) -> SwitchResult:
    """Give a stopped provider another recogniser: new settings, thresholds and key; the old one's keys end.

    Templates of the old recogniser stay, and are compared no more. A server that runs goes on with the old one until it
    is started again. Interrupted, the same call finishes it.

    Args:
        folder: the provider's home.
        model: name of the new recogniser.
        cut: one of its cuts.
        residual: at which protecting for this cut stops.
        force: go on although there are templates that become useless.

    Raises:
        ValueError: the same recogniser, one without thresholds, a search inside PostgreSQL, or templates without
            `force`.
        ServiceError: the database cannot be opened (503).
    """
    before = read_settings(folder)
    recogniser = open_graph(model)
    recogniser.cut(cut)
    if (before.fingerprint, before.cut) == (recogniser.fingerprint, cut):
        raise ValueError(f"{model} at {cut}: expected another recogniser than the provider has, got the same")
    if before.search != "memory":
        raise ValueError(
            f'search: expected "memory", got "{before.search}": its table holds vectors of the old recogniser; set '
            '"memory" in provider.json, drop the table vectors, switch, and set it again'
        )
    changed = {"model": model, "fingerprint": recogniser.fingerprint, "cut": cut, "residual": residual}
    with faults_named():
        settings = Settings.model_validate(before.model_dump() | changed)
    thresholds = default_thresholds(recogniser, cut, residual)
    thresholds.check(settings.far)
    database = Database(database_url(folder, before))
    try:
        store = open_store(database, Secrets.load(folder / MASTER), settings, recogniser.embedding_size)
        with database.reading() as connection:
            held = store.collections(connection)
            other = templates.c.fingerprint != recogniser.fingerprint
            stale = connection.scalar(select(func.count()).where(other)) or 0
        for collection in held:
            thresholds.check(collection.far)
        if stale and not force:
            raise ValueError(
                f"templates: expected none, got {stale} of {before.model}, which {model} cannot compare: their people "
                "have to enrol anew. --force switches all the same; a second provider beside this one "
                "(facemin provider init --home) lets both run until everybody has moved"
            )
        write_atomically(folder / THRESHOLDS, (thresholds.model_dump_json(indent=1) + "\n").encode(), mode=PRIVATE)
        key = rotate(database, folder, settings, recogniser)
        allowed = tuple(each.name for each in held if each.pseudonyms == "off") if has_space(recogniser, cut) else ()
        with database.writing() as connection:
            for name in allowed:
                store.change_collection(connection, name, pseudonyms="allowed")
            audit.record(connection, "switch_model", model, request_id=COMMAND_LINE)
        # last: until then the same call begins anew
        write_settings(folder, settings)
    finally:
        database.close()
    return SwitchResult(key.key_id, stale, allowed)

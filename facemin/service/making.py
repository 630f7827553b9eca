"""Provider set-up: home folder, thresholds, and each new key."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from facemin.keys.key import Key, export_key, read_signing_key, renew_key
from facemin.models.calibration import shipped_calibration
from facemin.models.store import calibration_of, open_graph
from facemin.runtime.faults import faults_named
from facemin.runtime.files import write_atomically
from facemin.service.provider import checked_policy, has_space, open_store
from facemin.service.provider_keys import HeldKey, Keyring, add_key, keep_protector, key_prefix
from facemin.service.recognition.thresholds import (
    ThresholdSet,
    plain_thresholds,
    pseudonym_thresholds,
    shipped_thresholds,
)
from facemin.service.settings import (
    DATABASE,
    MASTER,
    PASSWORD,
    PASSWORD_VARIABLE,
    PRIVATE,
    SETTINGS,
    SIGNING,
    THRESHOLDS,
    Settings,
    database_url,
    split_password,
    write_settings,
)
from facemin.service.storage import audit_log as audit
from facemin.service.storage.crypto import VARIABLE, Secrets
from facemin.service.storage.database import Database
from facemin.service.tokens import SCOPES, make_token

if TYPE_CHECKING:
    from pathlib import Path

    from facemin.models import RecogniserGraph
    from facemin.models.calibration import Calibration
    from facemin.service.storage.records import Policy

DAY = 86_400.0
FIRST = "main"
"""The collection that a new provider has."""
COMMAND_LINE = "command-line"
"""In the audit log, where a request's id would stand."""


def make_provider(
    folder: Path,
    *,
    provider: str,
    model: str,
    cut: str,
    residual: float,
    database: str | None = None,
    pseudonyms: Policy | None = None,
    **more: Any,
) -> str:
    """Make a provider's home: master key, signing key, settings, thresholds, the first key and an admin token.

    Args:
        folder: its home; must not hold a provider yet.
        provider: whose service it is, for people.
        model: a recogniser's name, shipped or in the model store.
        cut: one of its cuts.
        residual: at which protecting for this cut stops.
        database: URL; None for SQLite in the home folder. A password in it goes into a file of its own, unless it comes
            from the environment.
        pseudonyms: of the first collection; when None, required where the key will have a space, else off.
        **more: further `Settings`.

    Returns:
        The admin token, which can be read nowhere again.

    Raises:
        ValueError: there is a provider, or a setting does not fit the model.
        ServiceError: the database cannot be opened (503).
    """
    # without its settings a home still holds the only keys to its templates
    database, password = split_password(database)
    held = (SETTINGS, MASTER, SIGNING, DATABASE, *((PASSWORD,) if password is not None else ()))
    for name in held:
        if (folder / name).exists():
            raise ValueError(
                f"{folder}: expected a folder without a provider, found {name}; a lost {SETTINGS} comes from a back-up"
            )
    recogniser = open_graph(model)
    recogniser.cut(cut)
    policy = checked_policy(pseudonyms, space=has_space(recogniser, cut))
    with faults_named():
        settings = Settings(
            provider=provider,
            model=model,
            fingerprint=recogniser.fingerprint,
            cut=cut,
            residual=residual,
            database=database,
            **more,
        )
    thresholds = default_thresholds(recogniser, cut, residual)
    thresholds.check(settings.far)
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    if not os.environ.get(VARIABLE):
        _write_secret(folder / MASTER, Secrets.new().master.hex().encode() + b"\n")
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    _write_secret(folder / SIGNING, pem)
    if password is not None and not os.environ.get(PASSWORD_VARIABLE):
        _write_secret(folder / PASSWORD, password.encode() + b"\n")
    write_atomically(folder / THRESHOLDS, (thresholds.model_dump_json(indent=1) + "\n").encode(), mode=PRIVATE)
    try:
        opened = Database(database_url(folder, settings))
        store = open_store(opened, Secrets.load(folder / MASTER), settings, recogniser.embedding_size)
    except BaseException:
        # nothing was encrypted with these yet
        for name in (MASTER, SIGNING, *((PASSWORD,) if password is not None else ())):
            (folder / name).unlink(missing_ok=True)
        raise
    try:
        rotate(opened, folder, settings, recogniser)
        with opened.writing() as connection:
            _, text = make_token(connection, "first admin", frozenset((scope, "*") for scope in SCOPES))
            store.make_collection(connection, FIRST, accept_plain=False, far=settings.far, pseudonyms=policy)
            audit.record(connection, "init", "done", request_id=COMMAND_LINE)
    finally:
        opened.close()
    # last, so that a home with settings is a whole one
    write_settings(folder, settings)
    return text


def rotate(
    database: Database, folder: Path, settings: Settings, recogniser: RecogniserGraph, *, protector: bytes | None = None
) -> HeldKey:
    """Make a new key the current one; the old one's uploads are taken for `Settings.overlap_days` more.

    Args:
        database: of the provider.
        folder: its home.
        settings: of it.
        recogniser: that it uses.
        protector: the one-pass protector's file to offer from now on; the one offered until now when None.

    Raises:
        ValueError: the signing key is no such thing; or the protector is none, or of another space.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    keyring = Keyring(database, settings.fingerprint)
    held = keyring.all()
    number = held[0][0].number + 1 if held else 1
    key = export_key(
        recogniser,
        settings.cut,
        provider=settings.provider,
        residual=settings.residual,
        key_id=f"{key_prefix(recogniser.fingerprint)}{number}",
        created=now,
        expires=now + timedelta(days=settings.key_days) if settings.key_days is not None else None,
        signing_key=read_signing_key(folder / SIGNING),
    )
    source, offered = key, None
    if held and held[0][0].key_id.startswith(key_prefix(recogniser.fingerprint)):
        last = Key.load(keyring.file(held[0][0]), allow_expired=True)
        if last.manifest.model_dump(include=_SAME) == key.manifest.model_dump(include=_SAME):
            # the graph's bytes as they were: written by another version of a library they may differ, and with them
            # the space, in which everybody would have to enrol again
            source, offered = last, last.manifest.protector
    if protector is not None:
        offered = _checked_protector(protector, source)
    key = renew_key(
        source,
        key_id=key.manifest.key_id,
        created=now,
        expires=key.manifest.expires,
        protector=offered,
        signing_key=read_signing_key(folder / SIGNING),
    )
    with database.writing() as connection:
        if protector is not None:
            keep_protector(connection, protector)
        made = add_key(connection, key, overlap=settings.overlap_days * DAY)
        audit.record(connection, "rotate_key", made.key_id, request_id=COMMAND_LINE)
    return made


def _checked_protector(data: bytes, key: Key) -> str:
    """SHA-256 of a protector's file, once it was found to be one of the key's space."""
    from facemin.protection.one_pass.protector_file import ProtectorFile

    file = ProtectorFile.load(data)
    space = key.space
    if space is None or file.manifest.space != space.id.hex():
        raise ValueError(
            f"protector: expected one of the key's space ({'none' if space is None else space.id.hex()[:16]}), "
            f"got one of {file.manifest.space[:16]}"
        )
    return hashlib.sha256(data).hexdigest()


_SAME = {"provider", "recogniser", "cut", "features", "layers", "residual", "space"}
"""What two keys' manifests share where the second one only renews the first."""


def default_thresholds(recogniser: RecogniserGraph, cut: str, residual: float) -> ThresholdSet:
    """What was measured of a recogniser, on protected faces where that was done, else on plain ones.

    Raises:
        ValueError: nothing was measured.
    """
    shipped = shipped_thresholds(recogniser.name, recogniser.fingerprint, cut=cut, residual=residual)
    calibration = calibration_of(recogniser)
    if shipped is not None:
        return _with_pseudonyms(shipped, recogniser, cut, calibration)
    if calibration is None:
        raise ValueError(
            f"{recogniser.name}: expected a calibrated recogniser (facemin eval DATA --model {recogniser.name}), "
            "got one without thresholds"
        )
    return _with_pseudonyms(plain_thresholds(calibration, cut=cut, residual=residual), recogniser, cut, calibration)


def _with_pseudonyms(
    found: ThresholdSet, recogniser: RecogniserGraph, cut: str, plain: Calibration | None
) -> ThresholdSet:
    if not has_space(recogniser, cut):
        return found
    measured = shipped_calibration(recogniser, "pseudonym")
    calibration = measured if measured is not None else plain
    if calibration is None:
        return found
    more = pseudonym_thresholds(calibration, dimension=recogniser.embedding_size, measured=measured is not None)
    return found.model_copy(update={"thresholds": (*found.thresholds, *more)})


def _write_secret(path: Path, data: bytes) -> None:
    """A new file that nobody else can read at any moment."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())

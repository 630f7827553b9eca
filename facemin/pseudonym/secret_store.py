"""Secret storage: a person's secrets by name, in private files or in the system's keyring."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from facemin.pseudonym.secret import Secret
from facemin.runtime.faults import faults_named
from facemin.runtime.files import PRIVATE, locked, private_folder, read_private, write_atomically
from facemin.runtime.home import home

DEFAULT_SECRET = "default"  # noqa: S105 - a name
KEYRING_SERVICE = "facemin"

Place = Literal["file", "keyring"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_HEX = r"^[0-9a-f]{64}$"


class SecretEntry(BaseModel):
    """What is known of a stored secret without the secret itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["facemin secret"] = "facemin secret"
    version: Literal[1] = 1
    name: str
    fingerprint: str = Field(pattern=r"^[0-9a-f]{16}$")
    made: AwareDatetime
    """When it was made or brought to this machine."""
    kept: Place


class _SecretFile(SecretEntry):
    """A file of the store, or an exported one; without a secret where the keyring has it."""

    secret: str | None = Field(default=None, pattern=_HEX, repr=False)


@dataclass(frozen=True, kw_only=True)
class SecretStore:
    """Secrets by name, one private file each. Every change is atomic, and none replaces a secret.

    Args:
        root: a folder that only its owner may enter, made with the first secret; `secrets` in `home()` by default.
    """

    root: Path = field(default_factory=lambda: home() / "secrets")

    def names(self) -> list[str]:
        """Names of the stored secrets, sorted."""
        if not self.root.is_dir():
            return []
        return sorted(file.stem for file in self.root.glob("*.json") if _NAME.fullmatch(file.stem))

    def entry(self, name: str = DEFAULT_SECRET) -> SecretEntry:
        """What is known of a secret, the secret left out.

        Raises:
            ValueError: there is none of that name, or its file is damaged or others may read it.
        """
        return SecretEntry(**self._read(name).model_dump(exclude={"secret"}))

    def load(self, name: str = DEFAULT_SECRET) -> Secret:
        """Read a secret.

        Raises:
            ValueError: as `entry`; the keyring does not have it, or has another.
        """
        stored = self._read(name)
        text = stored.secret if stored.kept == "file" else _from_keyring(name)
        if text is None:
            raise ValueError(f"{self._file(name)}: expected a secret in it, got none")
        secret = _secret(text, where=f"secret {name}")
        if secret.fingerprint != stored.fingerprint:
            raise ValueError(
                f"secret {name}: expected the one with fingerprint {stored.fingerprint}, got {secret.fingerprint}: "
                "it was changed; restore it from its words"
            )
        return secret

    def load_or_make(self, name: str = DEFAULT_SECRET, *, kept: Place = "file") -> tuple[Secret, bool]:
        """Read a secret, or make it at its first use; of several processes one makes it.

        Returns:
            The secret, and whether it was made now: then `LOSS` is to be said.

        Raises:
            ValueError: as `load` and `add`.
            OSError: it cannot be written.
        """
        _check_name(name)
        if self._file(name).exists():
            return self.load(name), False
        with self._locked():
            # another process may have made it meanwhile
            if self._file(name).exists():
                return self.load(name), False
            secret = Secret.new()
            self._add(secret, name, kept)
            return secret, True

    def add(self, secret: Secret, name: str = DEFAULT_SECRET, *, kept: Place = "file") -> SecretEntry:
        """Keep a secret under a name that is free.

        Args:
            secret: to keep.
            name: 1 to 64 of a-z, 0-9, "-", "_", the first a letter or digit.
            kept: in a private file, or in the system's keyring (needs the extra `keyring`).

        Raises:
            ValueError: a wrong name, one that is taken, or a secret that is stored under another name; no keyring.
            OSError: it cannot be written.
        """
        _check_name(name)
        with self._locked():
            if self._file(name).exists():
                raise ValueError(f"name: expected one that is free, got {name!r}; secrets are never replaced")
            return self._add(secret, name, kept)

    def remove(self, name: str) -> SecretEntry:
        """Delete a secret: every enrolment made with it is lost unless its words or a copy are elsewhere.

        What lay on a disk may be found there until it is written over.

        Raises:
            ValueError: there is none of that name, or the keyring does not let go of it.
            OSError: it cannot be deleted.
        """
        with self._locked():
            stored = self._read(name)
            if stored.kept == "keyring":
                _delete_from_keyring(name)
            self._file(name).unlink()
        return SecretEntry(**stored.model_dump(exclude={"secret"}))

    def export(self, name: str, path: Path) -> SecretEntry:
        """Write a secret to a private file, for another device.

        Raises:
            ValueError: as `load`; `path` exists.
            OSError: it cannot be written.
        """
        secret, entry = self.load(name), self.entry(name)
        if path.exists() or path.is_symlink():
            raise ValueError(f"{path}: expected a file that does not exist yet")
        write_atomically(path, _json(entry.model_copy(update={"kept": "file"}), secret), mode=PRIVATE)
        return entry

    def _add(self, secret: Secret, name: str, kept: Place) -> SecretEntry:
        for other in self.names():
            if self._read(other).fingerprint == secret.fingerprint:
                raise ValueError(f"secret: expected one that is not stored yet, got that of {other!r}")
        entry = SecretEntry(
            name=name,
            fingerprint=secret.fingerprint,
            made=datetime.now(UTC).replace(microsecond=0),
            kept=kept,
        )
        if kept == "keyring":
            _to_keyring(name, secret)
        write_atomically(self._file(name), _json(entry, secret if kept == "file" else None), mode=PRIVATE)
        return entry

    def _read(self, name: str) -> _SecretFile:
        _check_name(name)
        try:
            stored = _parsed(read_private(self._file(name)), where=self._file(name))
        except FileNotFoundError:
            known = ", ".join(self.names()) or "there are none"
            raise ValueError(f"secret: expected a stored one ({known}), got {name!r}") from None
        if stored.name != name:
            raise ValueError(f"{self._file(name)}: expected the secret {name!r}, got that of {stored.name!r:.80}")
        return stored

    def _file(self, name: str) -> Path:
        return self.root / f"{name}.json"

    def _locked(self) -> Any:
        private_folder(self.root)
        return locked(self.root / ".lock")


def read_exported(path: Path) -> Secret:
    """Read a secret that `SecretStore.export` wrote.

    Raises:
        ValueError: it is no such file, was changed, or others may read it.
        OSError: it cannot be read.
    """
    stored = _parsed(read_private(path), where=path)
    if stored.secret is None:
        raise ValueError(f"{path}: expected a secret in it, got none: it is in a keyring")
    secret = _secret(stored.secret, where=str(path))
    if secret.fingerprint != stored.fingerprint:
        raise ValueError(f"{path}: expected the secret with fingerprint {stored.fingerprint}, got {secret.fingerprint}")
    return secret


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(
            "name of a secret: expected 1 to 64 of a-z, 0-9, '-' and '_', the first a letter or digit; "
            f"got {name!r:.100}"
        )


def _json(entry: SecretEntry, secret: Secret | None) -> bytes:
    values = entry.model_dump(mode="json") | ({"secret": secret.data.hex()} if secret is not None else {})
    return (json.dumps(values, indent=1) + "\n").encode()


def _parsed(data: bytes, *, where: Path) -> _SecretFile:
    # never the input itself: it may hold the secret
    with faults_named(f"{where}: expected a secret of facemin; ", value=False):
        return _SecretFile.model_validate_json(data)


def _secret(text: str, *, where: str) -> Secret:
    try:
        return Secret(bytes.fromhex(text))
    except ValueError as error:
        # bytes.fromhex names a position, never a digit
        raise ValueError(f"{where}: {error}") from None


def _keyring() -> Any:
    try:
        import keyring
    except ImportError:
        raise ValueError("keyring: expected the extra 'keyring' (pip install 'facemin[keyring]'), got none") from None
    return keyring


def _from_keyring(name: str) -> str:
    keyring = _keyring()
    try:
        text = keyring.get_password(KEYRING_SERVICE, name)
    except keyring.errors.KeyringError as error:
        raise ValueError(f"keyring: expected the secret {name}, got an error: {error}") from None
    if text is None:
        raise ValueError(f"keyring: expected the secret {name}, found none; restore it from its words")
    return str(text)


def _to_keyring(name: str, secret: Secret) -> None:
    keyring = _keyring()
    try:
        if keyring.get_password(KEYRING_SERVICE, name) is not None:
            raise ValueError(f"keyring: expected no secret {name} yet, got one that is not in this folder; remove it")
        keyring.set_password(KEYRING_SERVICE, name, secret.data.hex())
    except keyring.errors.KeyringError as error:
        raise ValueError(f"keyring: expected one that takes secrets, got an error: {error}") from None


def _delete_from_keyring(name: str) -> None:
    keyring = _keyring()
    try:
        if keyring.get_password(KEYRING_SERVICE, name) is not None:
            keyring.delete_password(KEYRING_SERVICE, name)
    except keyring.errors.KeyringError as error:
        raise ValueError(f"keyring: expected it to delete the secret {name}, got an error: {error}") from None

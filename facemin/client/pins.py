"""Key pinning: trust on first use of a provider's key and signer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from facemin.keys.key import Key
from facemin.keys.provider_name import displayed
from facemin.runtime.errors import KeyChanged
from facemin.runtime.files import write_atomically
from facemin.runtime.home import home

__all__ = ["KeyChanged", "Pin", "Pins"]

HEX = r"^[0-9a-f]{64}$"


class Pin(BaseModel):
    """What is trusted of one provider."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    signer: str | None = Field(default=None, pattern=HEX)
    """Ed25519 public key that signs the provider's keys; None where the first one was not signed."""
    fingerprint: str = Field(pattern=HEX)
    """SHA-256 of the latest key file."""
    created: AwareDatetime
    """Of that key: an older one is not taken any more."""
    provider: str | None = None
    """This and what follows, of that key too; None in pins of earlier versions, until they are next read."""
    recogniser: str | None = None
    space: str | None = None
    """Identity of the embedding space, in hexadecimal; None as well where the key names none."""
    cut: str | None = None
    layers: tuple[str, ...] | None = None
    features: tuple[int, ...] | None = None
    residual: float | None = None


@dataclass(frozen=True, kw_only=True)
class Pins:
    """A folder with one pin and one key file a provider.

    Args:
        root: made at the first use; `providers` in facemin's folder for data by default.
    """

    root: Path = field(default_factory=lambda: home() / "providers")

    def pin(self, url: str) -> Pin | None:
        """What is trusted of a provider; None before its first use.

        Raises:
            ValueError: the file holds something else.
        """
        folders = self._folders(url)
        return self._complete(folders[0]) if folders else None

    def file(self, url: str) -> bytes | None:
        """The pinned key's file, or None where it is missing or damaged."""
        folders = self._folders(url)
        return _pinned_file(folders[0], _read(folders[0] / "pin.json")) if folders else None

    def accept(self, url: str, data: bytes, *, signer: bytes | None = None, now: datetime | None = None) -> Key:
        """Check a key that a provider sent, and remember it.

        At the first use any valid key is trusted, or one by `signer` where that is known from elsewhere. Later a
        signed key has to be by the same signer, not older than the last, and of the same provider, recogniser, space,
        cut, layers and feature shape, with a residual of the same order; an unsigned one the very same.

        Args:
            url: of the provider.
            data: the key file.
            signer: Ed25519 public key that must have signed it.
            now: as for `Key.load`.

        Raises:
            KeyChanged: the key is not to be trusted.
            ValueError: it is no valid key, or has expired.
        """
        folders = self._folders(url)
        pins = [self._complete(folder) for folder in folders]
        key = Key.load(data, signer=signer, now=now)
        for pin in pins:
            _compare(pin, key)
        known = Pin(
            url=url,
            signer=key.signer.hex() if key.signer is not None else None,
            fingerprint=key.fingerprint,
            created=key.manifest.created,
            **_described(key),
        )
        folder = self._folder(url)
        if folders != [folder] or known != pins[0]:
            write_atomically(folder / "key.onnx", data)
            write_atomically(folder / "pin.json", (known.model_dump_json(indent=1) + "\n").encode())
            for other in folders:
                if other != folder:
                    _remove(other)
        return key

    def forget(self, url: str) -> None:
        """Trust the provider's next key, whoever made it."""
        for folder in self._folders(url):
            _remove(folder)

    def _folder(self, url: str) -> Path:
        return self.root / hashlib.sha256(canonical(url).encode()).hexdigest()[:32]

    def _folders(self, url: str) -> list[Path]:
        """Where the provider is pinned, its own folder first.

        Earlier versions named folders by the URL as it was typed: they are found by what their pin says.
        """
        own, name = self._folder(url), canonical(url)
        typed = self.root / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:32]
        found = [folder for folder in dict.fromkeys([own, typed]) if (folder / "pin.json").exists()]
        for path in sorted(self.root.glob("*/pin.json")):
            if path.parent not in found and path.parent not in (own, typed) and canonical(_url(path)) == name:
                found.append(path.parent)
        return found

    def _complete(self, folder: Path) -> Pin:
        """A folder's pin; what an earlier version left out is read from the key that it pinned."""
        pin = _read(folder / "pin.json")
        if pin.provider is not None:
            return pin
        data = _pinned_file(folder, pin)
        try:
            described = _described(Key.load(data, now=pin.created, allow_expired=True)) if data is not None else {}
        except ValueError:
            described = {}
        return pin.model_copy(update=described)


def canonical(url: str) -> str:
    """A provider's URL as it is compared: case, default port, a last dot or slash, and IDNA make no difference."""
    parts = urlsplit(url.strip())
    host = (parts.hostname or "").rstrip(".")
    try:
        host = host.encode("idna").decode()
    except UnicodeError:
        # no name that could be resolved; it is compared as it is
        host = host.casefold()
    try:
        port = parts.port
    except ValueError:
        return url.rstrip("/")
    if not parts.scheme or not host:
        return url.rstrip("/")
    default = {"https": 443, "http": 80}.get(parts.scheme)
    shown = f"[{host}]" if ":" in host else host
    place = shown if port in (None, default) else f"{shown}:{port}"
    return f"{parts.scheme}://{place}{parts.path.rstrip('/')}"


def _read(path: Path) -> Pin:
    try:
        return Pin.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ValueError(
            f"{path}: expected a pin, got {error.error_count()} wrong fields; delete it to trust the provider anew"
        ) from None


def _url(path: Path) -> str:
    """Of a pin's provider; a damaged pin of another provider is nobody else's matter."""
    try:
        return _read(path).url
    except (ValueError, OSError):
        return ""


def _pinned_file(folder: Path, pin: Pin) -> bytes | None:
    try:
        data = (folder / "key.onnx").read_bytes()
    except FileNotFoundError:
        return None
    return data if hashlib.sha256(data).hexdigest() == pin.fingerprint else None


def _remove(folder: Path) -> None:
    for name in ("pin.json", "key.onnx"):
        (folder / name).unlink(missing_ok=True)


def _described(key: Key) -> dict[str, Any]:
    manifest = key.manifest
    return {
        "provider": manifest.provider,
        "recogniser": manifest.recogniser,
        "space": manifest.space_id.hex() if manifest.space_id is not None else None,
        "cut": manifest.cut,
        "layers": manifest.layers,
        "features": manifest.features,
        "residual": manifest.residual,
    }


WORDS: dict[str, str] = {
    "provider": "the provider's name",
    "recogniser": "the recogniser",
    "space": "the embedding space (pseudonyms enrolled in the old one cannot be compared in it: enrol anew)",
    "cut": "the place where the recogniser is cut",
    "layers": "the layers that are matched",
    "features": "the shape of the features",
}
"""What a changed key is said to have changed."""
RECALIBRATED = 2.0
"""A residual may change by this factor: providers measure anew; one of 2 would ask for nothing."""


def _compare(pin: Pin, key: Key) -> None:
    advice = "; if the provider confirms the change, forget the old one (facemin client forget)"
    if key.fingerprint == pin.fingerprint:
        return
    if pin.signer is None:
        raise KeyChanged(
            f"key of {pin.url}: expected the pinned one ({pin.fingerprint[:16]}), got {key.fingerprint[:16]}{advice}"
        )
    signer = key.signer.hex() if key.signer is not None else "nobody: its signature was taken away"
    if signer != pin.signer:
        raise KeyChanged(f"key of {pin.url}: expected one signed by {pin.signer}, got one signed by {signer}{advice}")
    if key.manifest.created < pin.created:
        raise KeyChanged(
            f"key of {pin.url}: expected one made on {pin.created} or later, got an older one of {key.manifest.created}"
        )
    changed = _changes(pin, key)
    if changed:
        raise KeyChanged(f"key of {pin.url}: expected a successor of the pinned one, got {'; '.join(changed)}{advice}")


def _changes(pin: Pin, key: Key) -> list[str]:
    """What a key has otherwise than the pinned one, in words."""
    changed = []
    described = _described(key)
    for name, words in WORDS.items():
        before, now = getattr(pin, name), described[name]
        # what an earlier version did not pin, and its key file no longer says, cannot have changed
        if before is not None and before != now:
            changed.append(f"another value of {words}: {_said(now)} instead of {_said(before)}")
    ratio = 1.0 if pin.residual is None else key.manifest.residual / pin.residual
    if not 1 / RECALIBRATED <= ratio <= RECALIBRATED:
        changed.append(f"a residual of {key.manifest.residual:g} instead of {pin.residual:g}")
    return changed


def _said(value: Any) -> str:
    if isinstance(value, tuple):
        return " x ".join(map(str, value)) if all(isinstance(each, int) for each in value) else ", ".join(value)
    return "none" if value is None else displayed(value)

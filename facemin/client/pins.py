"""Whom a provider's key must come from: remembered at its first use, and checked at every later one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from facemin.keys.key import Key
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
        path = self._folder(url) / "pin.json"
        try:
            return Pin.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise ValueError(
                f"{path}: expected a pin, got {error.error_count()} wrong fields; delete it to trust the provider anew"
            ) from None

    def file(self, url: str) -> bytes | None:
        """The pinned key's file, or None where it is missing or damaged."""
        pin = self.pin(url)
        try:
            data = (self._folder(url) / "key.onnx").read_bytes()
        except FileNotFoundError:
            return None
        return data if pin is not None and hashlib.sha256(data).hexdigest() == pin.fingerprint else None

    def accept(self, url: str, data: bytes, *, signer: bytes | None = None, now: datetime | None = None) -> Key:
        """Check a key that a provider sent, and remember it.

        At the first use any valid key is trusted, or one by `signer` where that is known from elsewhere. Later a
        signed key has to be by the same signer and not older than the last; an unsigned one the very same.

        Args:
            url: of the provider.
            data: the key file.
            signer: Ed25519 public key that must have signed it.
            now: as for `Key.load`.

        Raises:
            KeyChanged: the key is not to be trusted.
            ValueError: it is no valid key, or has expired.
        """
        pin = self.pin(url)
        key = Key.load(data, signer=signer, now=now)
        if pin is not None:
            _compare(pin, key)
        known = Pin(
            url=url,
            signer=key.signer.hex() if key.signer is not None else None,
            fingerprint=key.fingerprint,
            created=key.manifest.created,
        )
        if known != pin:
            folder = self._folder(url)
            write_atomically(folder / "key.onnx", data)
            write_atomically(folder / "pin.json", (known.model_dump_json(indent=1) + "\n").encode())
        return key

    def forget(self, url: str) -> None:
        """Trust the provider's next key, whoever made it."""
        for name in ("pin.json", "key.onnx"):
            (self._folder(url) / name).unlink(missing_ok=True)

    def _folder(self, url: str) -> Path:
        return self.root / hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:32]


def _compare(pin: Pin, key: Key) -> None:
    advice = "; if the provider confirms the change, forget the old one (facemin client forget)"
    if key.fingerprint == pin.fingerprint:
        return
    if pin.signer is None:
        raise KeyChanged(
            f"key of {pin.url}: expected the pinned one ({pin.fingerprint[:16]}), got {key.fingerprint[:16]}{advice}"
        )
    signer = key.signer.hex() if key.signer is not None else "nobody"
    if signer != pin.signer:
        raise KeyChanged(f"key of {pin.url}: expected one signed by {pin.signer}, got one signed by {signer}{advice}")
    if key.manifest.created < pin.created:
        raise KeyChanged(
            f"key of {pin.url}: expected one made on {pin.created} or later, got an older one of {key.manifest.created}"
        )

"""Connection to one provider: its pinned key, and requests under it."""

from __future__ import annotations

import hashlib
import secrets
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar
from urllib.parse import quote, urlencode

from facemin.client.answers import Challenge
from facemin.client.pins import KeyChanged, Pins
from facemin.client.plain import claim_plain
from facemin.client.pseudonymous import SITE, Faces, Form, Probe, Sender, SharedSecretWarning, crops_of, secret_of
from facemin.client.transport import MOST_KEY_BYTES, ProviderError, Reply, Transport
from facemin.client.uploads import AnyPhoto, Prepared, check_asks
from facemin.image import Photo
from facemin.keys.default import DEFAULT_SPACE
from facemin.keys.key import Key
from facemin.keys.trust import TrustLog
from facemin.protection.carrier.open import check_carried_upload, open_carrier
from facemin.runtime.compute import DEFAULT_COMPUTE, Compute

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import httpx

    from facemin.face import Detector
    from facemin.protection import Protector
    from facemin.protection.one_pass.protector_file import ProtectorFile
    from facemin.protection.photo import Upload
    from facemin.pseudonym import Secret


_Answer = TypeVar("_Answer")
STALE = frozenset({"key_ended", "key_revoked", "unknown_key"})
"""Refusals that a newer key cures."""


def _shipped(key: Key, find: Callable[[str], ProtectorFile | None]) -> ProtectorFile | None:
    """The shipped one-pass network, where the key's space is the default; None where it does not come with it."""
    space = key.space
    if space is None or space.id.hex() != DEFAULT_SPACE:
        return None
    try:
        return find(key.manifest.recogniser)
    except FileNotFoundError:
        return None


@dataclass(kw_only=True)
class _Known:
    """The key in use; a client stays usable when the provider rotates it."""

    key: Key | None = None
    protector: ProtectorFile | None = None
    sender: Sender | None = None
    detector: Detector | None = None


@dataclass(frozen=True)
class Connection:
    """What a client holds of one provider: its key, checked and pinned, and what is computed once for that key.

    See `facemin.client.client.Client` for what the fields say.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    collection: str = field(default="main", kw_only=True)
    signer: bytes | None = field(default=None, kw_only=True)
    pins: Pins = field(default_factory=Pins, kw_only=True)
    secret: str | Secret | None = field(default="default", kw_only=True, repr=False)
    purpose: str | None = field(default=None, kw_only=True)
    upload: Upload | Literal["auto"] = field(default="auto", kw_only=True)
    carrier: Literal["face"] | None = field(default=None, kw_only=True)
    probe: Probe = field(default="decision", kw_only=True)
    method: Protector | None = field(default=None, kw_only=True)
    compute: Compute = field(default=DEFAULT_COMPUTE, kw_only=True)
    allow_revealing: bool = field(default=False, kw_only=True)
    timeout: float = field(default=60.0, kw_only=True)
    tries: int = field(default=4, kw_only=True)
    transport: httpx.BaseTransport | None = field(default=None, kw_only=True, repr=False, compare=False)
    _known: _Known = field(default_factory=_Known, init=False, repr=False, compare=False)
    _send: Transport = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        sender = Transport(
            url=self.url, token=self.token, timeout=self.timeout, tries=self.tries, transport=self.transport
        )
        object.__setattr__(self, "_send", sender)
        if self.carrier is not None:
            check_carried_upload(secret=self.secret, upload="image" if self.upload == "auto" else self.upload)
            if self.carrier != "face":
                raise ValueError(f"carrier: expected 'face', which providers know, or None, got {self.carrier!r}")
        if self.purpose is not None:
            warnings.warn(f"purpose {self.purpose!r}: {SITE}", SharedSecretWarning, stacklevel=3)

    def key(self, *, refresh: bool = False) -> Key:
        """The provider's current key, checked against what was pinned at its first use.

        Args:
            refresh: ask the provider even where a key was fetched before.

        Raises:
            KeyChanged: it is not the pinned one, nor its signer's successor of it.
            NotReached: its features are not finite, or noise satisfies it.
            ValueError: it is no valid key, or has expired.
            ProviderError: the provider refused, or was not reached.
        """
        if self._known.key is not None and not refresh:
            return self._known.key
        held = self.pins.file(self.url)
        pin = self.pins.pin(self.url)
        headers = {"If-None-Match": f'"{pin.fingerprint}"'} if held is not None and pin is not None else {}
        reply = self._send("GET", "/v1/key", headers=headers, most=MOST_KEY_BYTES)
        data = held if reply.status == 304 and held is not None else reply.data
        key = self.pins.accept(self.url, data, signer=self.signer)
        check_asks(key)
        if self._known.key is None or self._known.key.fingerprint != key.fingerprint:
            self._known.sender = self._known.protector = None
        self._known.key = key
        return key

    def trust(self, reason: str) -> None:
        """Agree to pseudonyms for the provider's network although it is not on the published list; it is logged.

        From the second upload on a dishonest network can identify the person.

        Raises:
            ValueError: a reason that is empty, or not printable.
            ProviderError: the provider refused, or was not reached.
        """
        manifest = self.key().manifest
        TrustLog().trust(manifest.sha256, name=manifest.recogniser, reason=reason)

    def close(self) -> None:
        """Close the connections to the provider; the client stays usable."""
        self._send.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def forget(self) -> None:
        """Trust the provider's next key, whoever made it."""
        self.pins.forget(self.url)
        self._known.key = None

    def _uploads(self, photo: str | Path | bytes | Photo | Prepared, *, largest: bool = False) -> list[dict[str, str]]:
        key = self.key()
        if isinstance(photo, Prepared):
            return self._plain(photo, largest=largest)
        upload: Upload = "image" if self.upload == "auto" else self.upload
        # all that a photo needs is imported with the first one
        from facemin.protection import protect

        done = protect(
            photo,
            keys=[key],
            upload=upload,
            method=self.method,
            compute=self.compute,
            allow_revealing=self.allow_revealing,
            secret=None,
        )
        return self._plain(Prepared(photo=done, keys=(key,)), largest=largest)

    def _plain(self, prepared: Prepared, *, largest: bool) -> list[dict[str, str]]:
        """Uploads without a pseudonym, noted as such for a person who has one elsewhere."""
        uploads = prepared.uploads(self.key(), largest=largest)
        claim_plain(prepared.photo, prepared.photo.faces[: len(uploads)])
        return uploads

    def _challenge(self) -> str:
        return self._send("POST", "/v1/challenges").read(Challenge).challenge

    def _sender(self) -> Sender:
        if self.secret is None:
            raise ValueError("client: expected one with a secret, got one without a pseudonym (secret=None)")
        key = self.key()
        if self._known.sender is None:
            secret, others = secret_of(self.secret)
            self._known.sender = Sender(
                secret=secret,
                origin=self.url,
                collection=self.collection,
                key=key,
                purpose=self.purpose,
                others=others,
                carrier=None if self.carrier is None else open_carrier(self.carrier),
                probe=self.probe,
            )
        # before anything is asked or read
        assert self._known.sender.space is not None
        return self._known.sender

    def _ask(self, **who: str | None) -> tuple[Challenge, Form]:
        query = urlencode({"collection": self.collection} | {name: text for name, text in who.items() if text})
        ask = self._send("POST", f"/v1/challenges?{query}").read(Challenge)
        if ask.pseudonyms == "off":
            raise ProviderError(
                422, "pseudonyms_off", f"{self.collection} takes no pseudonyms, and nothing was sent without one"
            )
        if self.carrier is not None:
            if ask.carriers != "allowed":
                raise ProviderError(
                    422, "carriers_off", f"{self.collection} takes no carriers, and nothing was sent without one"
                )
            return ask, "image"
        if self.upload == "features" and not ask.features:
            raise ProviderError(422, "features_off", "the provider takes no features; upload='image' sends images")
        return ask, "feature" if ask.features and self.upload != "image" else "image"

    def _read(self, sender: Sender, photo: AnyPhoto | Prepared, *, largest: bool = True) -> Faces:
        if isinstance(photo, Prepared):
            raise ValueError(  # noqa: TRY004 - of a kind that another client takes
                "photo: expected the photo itself, since a prepared one was protected without a pseudonym"
            )
        if self._known.detector is None:
            from facemin.face import Detector

            self._known.detector = Detector()
        return sender.read(photo, largest=largest, detector=self._known.detector)

    def _claim(self, sender: Sender, faces: Sequence[Faces], epoch: int, claimed: set[str]) -> None:
        """Note faces as sent; once for each call, which may be sent again for a rotated key."""
        name = sender.pseudonym(epoch).fingerprint
        if name not in claimed:
            sender.captures.claim(crops_of(faces), name)
            claimed.add(name)

    def _check_unsent(self, sender: Sender, faces: Sequence[Faces], epoch: int, claimed: set[str]) -> None:
        """Refuse what `_claim` would, before anything else is noted: a call that sends nothing uses no photo up."""
        name = sender.pseudonym(epoch).fingerprint
        if name not in claimed:
            sender.captures.check(crops_of(faces), name)

    def _protector(self, form: Form) -> ProtectorFile | None:
        """The one-pass network of the key's space: the provider's, whose hash its key names, or the shipped one."""
        if form == "feature" or self.carrier is not None:
            return None
        key = self.key()
        if self._known.protector is None:
            from facemin.protection.one_pass.protector_file import ProtectorFile
            from facemin.protection.one_pass.shipped import shipped_protector

            named = key.manifest.protector
            if named is not None:
                data = self._send("GET", "/v1/key/protector", most=MOST_KEY_BYTES).data
                if hashlib.sha256(data).hexdigest() != named:
                    raise KeyChanged(f"protector: expected the one that the key names ({named[:16]}), got another")
                found: ProtectorFile | None = ProtectorFile.load(data)
            else:
                found = _shipped(key, shipped_protector)
            self._known.protector = found
        return self._known.protector

    def _post(self, what: str, body: dict[str, Any]) -> Reply:
        headers = {"Idempotency-Key": secrets.token_urlsafe(24)}
        return self._send("POST", f"{self._place()}/{what}", body, headers=headers)

    def _place(self) -> str:
        return f"/v1/collections/{quote(self.collection, safe='')}"

    def _fresh(self, send: Callable[[], _Answer]) -> _Answer:
        """Send; once more with a new key where the provider has taken the old one out of force."""
        try:
            return send()
        except ProviderError as error:
            if error.code not in STALE:
                raise
        self.key(refresh=True)
        return send()

"""An app's side: fetch a provider's key, protect on this machine, and send only what is protected."""

from __future__ import annotations

import base64
import math
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote

import numpy as np
import torch
from pydantic import ConfigDict, TypeAdapter
from typing_extensions import TypedDict

from facemin.client.pins import KeyChanged, Pins
from facemin.client.transport import MOST_KEY_BYTES, ProviderError, Reply, Transport
from facemin.image import Photo
from facemin.keys.key import Key, relative_distance
from facemin.protection import ProtectedFace, ProtectedPhoto, Protector, RevealingKey, protect
from facemin.protection.resemblance import mean_face
from facemin.runtime.errors import FaceminError, NoFace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import httpx

    from facemin.face import Detector
    from facemin.protection.photo import Upload

__all__ = ["Client", "Decision", "KeyChanged", "NotReached", "Prepared", "ProviderError", "RevealingKey", "prepare"]

_Answer = TypeVar("_Answer")
STALE = frozenset({"key_ended", "key_revoked", "unknown_key"})
"""Refusals that a newer key cures."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a provider decided on one person."""

    __pydantic_config__ = ConfigDict(allow_inf_nan=False)

    person: str
    accepted: bool
    score: float
    """Cosine."""
    threshold: float
    far: float
    """False accept rate that the threshold was measured for."""
    threshold_id: str
    enrolled_as: str
    """ "protected" or "plain": what the deciding enrolment was made from."""


class _Enrolled(TypedDict):
    person: str


class _Challenge(TypedDict):
    challenge: str


class _Identified(TypedDict):
    results: list[list[Decision]]


_DECISION, _ENROLLED = TypeAdapter(Decision), TypeAdapter(_Enrolled)
_IDENTIFIED, _CHALLENGE = TypeAdapter(_Identified), TypeAdapter(_Challenge)


class NotReached(FaceminError):  # noqa: N818 - what happened
    """A protected image does not carry what its key asks for, or the key asks for nothing: it is not sent."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A photo's faces protected for some providers; each use with one of them counts once."""

    photo: ProtectedPhoto
    keys: tuple[Key, ...]

    def uploads(self, key: Key, *, largest: bool = False) -> list[dict[str, str]]:
        """What is sent to the provider of a key, the largest face first.

        Args:
            key: of the provider.
            largest: the largest face alone.

        Raises:
            NotReached: a face's image does not have the features that the key asks for.
            ValueError: the photo was not protected for that key, or no face was found.
        """
        if key.fingerprint not in [mine.fingerprint for mine in self.keys]:
            raise ValueError(
                f"photo: expected one protected for key {key.manifest.key_id}, got one for "
                f"{', '.join(mine.manifest.key_id for mine in self.keys)}"
            )
        if not self.photo.faces:
            raise NoFace(f"{self.photo.name}: {self.photo.verdict}")
        kind = "feature" if self.photo.upload == "features" else "image"
        number = [mine.fingerprint for mine in self.keys].index(key.fingerprint)
        faces = self.photo.faces[:1] if largest else self.photo.faces
        for face in faces:
            _check_reached(face, key, number, name=self.photo.name)
        data = (base64.b64encode(self.photo.encoded(face)).decode() for face in faces)
        return [{"kind": kind, "key_id": key.manifest.key_id, "data": text} for text in data]


def _check_reached(face: ProtectedFace, key: Key, number: int, *, name: str) -> None:
    residual, limit, key_id = face.done.residuals[number], key.manifest.residual, key.manifest.key_id
    if not math.isfinite(residual):
        raise NotReached(
            f"{name}: expected key {key_id} to have finite features of this face, got others; nothing was sent, and "
            "its provider should be told"
        )
    flat = face.pixels.flatten(1)
    if bool((flat.amin(1) == flat.amax(1)).all()):
        raise NotReached(f"{name}: expected an image, got an even colour for key {key_id}; nothing was sent")
    # a method that takes no steps matches no features: its recogniser was trained on its images
    if number in face.done.unmet and face.done.steps:
        raise NotReached(
            f"{name}: expected a feature distance to key {key_id} of at most {limit:g}, got {residual:.3g} after "
            f"{face.done.steps} steps: its provider might not recognise the person, and nothing was sent. Try another "
            "photo, one key at a time, or more steps"
        )


def _check_asks(key: Key) -> None:
    """Refuse a key that noise satisfies: whatever is sent for it says nothing, and would be accepted for anybody."""
    generator = np.random.default_rng(0)
    noise = generator.random((3, 112, 112), dtype=np.float32)
    faces = torch.from_numpy(np.stack([np.moveaxis(mean_face(), -1, 0).astype(np.float32) / 255, noise]))
    with torch.no_grad():
        layers = key.shallow.layers(faces)
    features = torch.cat([layer.flatten(1) for layer in layers], 1)
    distance = float(relative_distance(features[1:], features[:1])[0])
    if not math.isfinite(distance):
        raise NotReached(f"key {key.manifest.key_id}: expected finite features of a face, got others")
    if distance <= key.manifest.residual:
        raise NotReached(
            f"key {key.manifest.key_id}: expected features that tell a face from noise, got a distance of "
            f"{distance:.3g} between the two, which its residual of {key.manifest.residual:g} lets pass"
        )


def prepare(
    photo: str | Path | bytes | Photo,
    clients: Sequence[Client],
    *,
    seed: int | None = None,
    method: Protector | None = None,
    detector: Detector | None = None,
    allow_revealing: bool = False,
) -> Prepared:
    """Protect one photo for several providers at once (MR-PMT): each recognises it, and nobody else.

    Args:
        photo: as for `facemin.protect`.
        clients: of the providers.
        seed: as for `facemin.protect`.
        method: as for `facemin.protect`.
        detector: as for `facemin.protect`.
        allow_revealing: as for `facemin.protect`.

    Raises:
        RevealingKey: the result would show the plain face.
        ValueError: an unreadable photo, or a key that is not to be trusted (`KeyChanged`) or has expired.
        ProviderError: a provider refused, or was not reached.
    """
    keys = tuple(client.key() for client in clients)
    done = protect(photo, keys=keys, seed=seed, method=method, detector=detector, allow_revealing=allow_revealing)
    return Prepared(photo=done, keys=keys)


@dataclass(kw_only=True)
class _Known:
    """The key in use; a client stays usable when the provider rotates it."""

    key: Key | None = None


@dataclass(frozen=True)
class Client:
    """Talks to one provider.

    Example:
        >>> client = facemin.Client("https://faces.example", "fmt_...")  # doctest: +SKIP
        >>> client.enrol("u-4711", ["me.jpg"])  # doctest: +SKIP
        >>> client.verify("u-4711", "me-today.jpg").accepted  # doctest: +SKIP
        True

    Args:
        url: of the provider, https, or http on this machine.
        token: with the scopes for what is to be done; None to fetch an open key only.
        collection: where people are enrolled.
        signer: Ed25519 public key (32 bytes) of the provider, where it is known from elsewhere; otherwise the first
            key is trusted, and its signer from then on.
        pins: where that is remembered.
        upload: "image", or "features" to send the protected feature.
        method: settings of protection; the default of `facemin.protection.PROTECTORS` when None.
        allow_revealing: send what shows the plain face, with a `RevealingWarning`; for research on one's own service.
        timeout: seconds for a whole answer; the key of a large recogniser has some 20 MB.
        tries: how often a request is sent at most; sending it again does nothing twice.
        transport: what carries the requests, say `httpx.MockTransport` in a test; the network when None.

    Raises:
        ValueError: another kind of URL.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    collection: str = field(default="main", kw_only=True)
    signer: bytes | None = field(default=None, kw_only=True)
    pins: Pins = field(default_factory=Pins, kw_only=True)
    upload: Upload = field(default="image", kw_only=True)
    method: Protector | None = field(default=None, kw_only=True)
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
        _check_asks(key)
        self._known.key = key
        return key

    def enrol(
        self, person: str | None, photos: Sequence[str | Path | bytes | Photo | Prepared], *, replace: bool = False
    ) -> str:
        """Enrol a person by the largest face of each photo; their name, which is drawn where none is given.

        Args:
            person: how the provider shall call them: letters, digits, ".", "_", "~", "-"; a pseudonym.
            photos: at least one; or what `prepare` made of it.
            replace: take out the person's earlier templates.

        Raises:
            ValueError: an unreadable photo, no face, or a key that is not to be trusted.
            ProviderError: the provider refused, or was not reached.
        """
        if not photos:
            raise ValueError("photos: expected at least one, got none")

        def send() -> Reply:
            uploads = [self._uploads(photo, largest=True)[0] for photo in photos]
            return self._post("persons", {"person": person, "uploads": uploads, "replace": replace})

        return self._fresh(send).read(_ENROLLED)["person"]

    def verify(
        self, person: str, photo: str | Path | bytes | Photo | Prepared, *, far: float | None = None
    ) -> Decision:
        """Ask whether the largest face of a photo is a person's.

        Args:
            person: as enrolled.
            photo: or what `prepare` made of it.
            far: false accept rate whose threshold decides; the collection's own when None.

        Raises:
            ValueError: an unreadable photo, no face, or a key that is not to be trusted.
            ProviderError: the provider refused, or was not reached.
        """

        def send() -> Reply:
            upload = self._uploads(photo, largest=True)[0]
            return self._post(
                "verify", {"person": person, "upload": upload, "challenge": self._challenge(), "far": far}
            )

        return self._fresh(send).read(_DECISION)

    def identify(
        self, photo: str | Path | bytes | Photo | Prepared, *, far: float | None = None, top: int = 5
    ) -> list[list[Decision]]:
        """Ask who the people on a photo are: for each face, the largest first, the nearest people.

        Args:
            photo: or what `prepare` made of it.
            far: as for `verify`, of one comparison.
            top: people named for each face.

        Raises:
            ValueError: an unreadable photo, no face, or a key that is not to be trusted.
            ProviderError: the provider refused, or was not reached.
        """

        def send() -> Reply:
            uploads = self._uploads(photo)
            return self._post("identify", {"uploads": uploads, "challenge": self._challenge(), "far": far, "top": top})

        return self._fresh(send).read(_IDENTIFIED)["results"]

    def delete(self, person: str) -> None:
        """Delete a person with every template of theirs; needs a token with the scope admin.

        Raises:
            ProviderError: there is none of that name, or the provider refused, or was not reached.
        """
        self._send("DELETE", f"{self._place()}/persons/{quote(person, safe='')}")

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
            return photo.uploads(key, largest=largest)
        done = protect(photo, keys=[key], upload=self.upload, method=self.method, allow_revealing=self.allow_revealing)
        return Prepared(photo=done, keys=(key,)).uploads(key, largest=largest)

    def _challenge(self) -> str:
        return self._send("POST", "/v1/challenges").read(_CHALLENGE)["challenge"]

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

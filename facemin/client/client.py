"""An app's side: fetch a provider's key, protect on this machine, and send only what is protected.

By default under a pseudonym, which says nothing about the face to anybody without the person's secret.
"""

from __future__ import annotations

import base64
import hashlib
import math
import secrets
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, TypeVar
from urllib.parse import quote, urlencode

import numpy as np
from pydantic import ConfigDict, TypeAdapter
from typing_extensions import TypedDict

from facemin.client.pins import KeyChanged, Pins
from facemin.client.pseudonymous import (
    SITE,
    Faces,
    Form,
    NewSecretWarning,
    NoSpace,
    NotReached,
    Sender,
    SharedSecretWarning,
    UntrustedSpace,
    secret_of,
)
from facemin.client.transport import MOST_KEY_BYTES, ProviderError, Reply, Transport
from facemin.image import Photo
from facemin.keys.default import DEFAULT_SPACE
from facemin.keys.key import Key
from facemin.keys.trust import TrustLog
from facemin.models.onnx.run import FaceRunner
from facemin.protection import ProtectedFace, ProtectedPhoto, RevealingKey, protect
from facemin.protection.resemblance import mean_face
from facemin.runtime.errors import NoFace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import httpx

    from facemin.face import Detector
    from facemin.protection import Protector
    from facemin.protection.photo import Upload
    from facemin.protection.protector_file import ProtectorFile
    from facemin.pseudonym import Secret

AnyPhoto: TypeAlias = "str | Path | bytes | Photo"

__all__ = [
    "Client",
    "Decision",
    "KeyChanged",
    "NewSecretWarning",
    "NoSpace",
    "NotReached",
    "Prepared",
    "ProviderError",
    "RevealingKey",
    "SharedSecretWarning",
    "UntrustedSpace",
    "prepare",
]

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
    """ "pseudonym", "protected" or "plain": what the deciding enrolment was made from."""


class _Enrolled(TypedDict):
    person: str


@dataclass(frozen=True, kw_only=True)
class _Challenge:
    challenge: str
    epoch: int = 0
    features: bool = True
    pseudonyms: str | None = None


class _Identified(TypedDict):
    results: list[list[Decision]]


_DECISION, _ENROLLED = TypeAdapter(Decision), TypeAdapter(_Enrolled)
_IDENTIFIED, _CHALLENGE = TypeAdapter(_Identified), TypeAdapter(_Challenge)


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
    if bool((face.pixels.min((0, 1)) == face.pixels.max((0, 1))).all()):
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
    noise = generator.integers(0, 256, (112, 112, 3), dtype=np.uint8)
    try:
        layers = FaceRunner(key.graph).layers(np.stack([mean_face(), noise]))
    except ValueError as error:
        raise NotReached(f"key {key.manifest.key_id}: expected finite features of a face, got others") from error
    face, other = np.concatenate([layer.reshape(2, -1) for layer in layers], 1).astype(np.float64)
    distance = float(np.linalg.norm(other - face) / max(np.linalg.norm(face), np.finfo(np.float32).tiny))
    if not math.isfinite(distance):
        raise NotReached(f"key {key.manifest.key_id}: expected finite features of a face, got others")
    if distance <= key.manifest.residual:
        raise NotReached(
            f"key {key.manifest.key_id}: expected features that tell a face from noise, got a distance of "
            f"{distance:.3g} between the two, which its residual of {key.manifest.residual:g} lets pass"
        )


def _shipped(key: Key, find: Callable[[str], ProtectorFile | None]) -> ProtectorFile | None:
    """The shipped one-pass network, where the key's space is the default; None where it does not come with it."""
    space = key.space
    if space is None or space.id.hex() != DEFAULT_SPACE:
        return None
    try:
        return find(key.manifest.recogniser)
    except FileNotFoundError:
        return None


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
    if any(client.secret is not None for client in clients):
        raise ValueError(
            "clients: expected ones without a pseudonym (secret=None), since one image under it for several providers "
            "would link them; send each an image of its own"
        )
    keys = tuple(client.key() for client in clients)
    done = protect(
        photo, keys=keys, seed=seed, method=method, detector=detector, allow_revealing=allow_revealing, secret=None
    )
    return Prepared(photo=done, keys=keys)


@dataclass(kw_only=True)
class _Known:
    """The key in use; a client stays usable when the provider rotates it."""

    key: Key | None = None
    protector: ProtectorFile | None = None
    sender: Sender | None = None
    detector: Detector | None = None


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
        secret: under which everything is sent: its name, made at first use, or the secret itself. None sends without a
            pseudonym: whoever has the key then recognises the person on what is sent.
        purpose: names what a site's devices share a secret for, many people's faces under it: weaker than a secret a
            person, and said so. The collection, and one person a secret, when None.
        upload: "auto" sends features under a pseudonym where the provider takes them, else images; "image";
            "features".
        method: settings of protection without a pseudonym; the default of `facemin.protection.PROTECTORS` when None.
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
    secret: str | Secret | None = field(default="default", kw_only=True, repr=False)
    purpose: str | None = field(default=None, kw_only=True)
    upload: Upload | Literal["auto"] = field(default="auto", kw_only=True)
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
        _check_asks(key)
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
        if self.secret is not None:
            return self._enrol(person, photos, replace=replace)

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
        if self.secret is not None:
            body = {"person": person, "far": far}
            return self._asked("verify", body, photo, person).read(_DECISION)

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
            photo: or what `prepare` made of it. Under a pseudonym it is compared with people under the same secret
                alone, and where that is one person's, the largest face alone is sent.
            far: as for `verify`, of one comparison.
            top: people named for each face.

        Raises:
            ValueError: an unreadable photo, no face, or a key that is not to be trusted.
            ProviderError: the provider refused, or was not reached.
        """
        if self.secret is not None:
            body = {"far": far, "top": top}
            return self._asked("identify", body, photo, "").read(_IDENTIFIED)["results"]

        def send() -> Reply:
            uploads = self._uploads(photo)
            return self._post("identify", {"uploads": uploads, "challenge": self._challenge(), "far": far, "top": top})

        return self._fresh(send).read(_IDENTIFIED)["results"]

    def renew(
        self, person: str, photo: AnyPhoto, photos: Sequence[AnyPhoto], *, secret: str | Secret | None = None
    ) -> int:
        """Put a fresh pseudonym in place of a person's old one: under the next epoch, or under another secret.

        The provider verifies `photo` under the old one, at a stricter FAR, and enrols `photos` under the new one, in
        one transaction. All have to be photos that were never sent.

        Args:
            person: as enrolled.
            photo: to be verified.
            photos: to be enrolled, at least one.
            secret: the new one; the old one, under the next epoch, when None.

        Returns:
            The new epoch.

        Raises:
            ValueError: a photo that was sent before, or of somebody else; a client without a pseudonym.
            ProviderError: the provider refused, and kept the old pseudonym; or was not reached.
        """
        if not photos:
            raise ValueError("photos: expected at least one, got none")
        claimed: set[str] = set()

        def send() -> tuple[Reply, Sender, list[Faces], int]:
            old = self._sender()
            ask, form = self._ask(person=person)
            new = old
            if secret is not None:
                mine, others = secret_of(secret)
                new = replace(old, secret=mine, others=others)
            probe, fresh = [self._read(old, photo)], [self._read(new, each) for each in photos]
            old.check_person([*probe, *fresh])
            epoch = ask.epoch + 1
            sent = old.encode(probe, ask.epoch, form, self._protector(form))
            put = new.encode(fresh, epoch, form, self._protector(form))
            self._claim(old, probe, ask.epoch, claimed)
            self._claim(new, fresh, epoch, claimed)
            signed = {"challenge": ask.challenge, "operation": "renew", "person": person}
            first = old.uploads(sent, ask.epoch, form, replaced_by=(put, new.possession.public), **signed)  # type: ignore[arg-type]
            second = new.uploads(put, epoch, form, **signed)  # type: ignore[arg-type]
            body = {"upload": first[0], "uploads": second, "challenge": ask.challenge}
            return self._post(f"persons/{quote(person, safe='')}/renew", body), new, fresh, epoch

        _, sender, fresh, epoch = self._fresh(send)
        sender.remember(fresh)
        return epoch

    def upgrade(self, person: str, photo: AnyPhoto, photos: Sequence[AnyPhoto]) -> Decision:
        """Verify a person the old way, without a pseudonym, and enrol their pseudonym where they are accepted.

        The one call that sends something without a pseudonym (`photo`) for a client with one.

        Args:
            person: as enrolled without a pseudonym.
            photo: to be verified; whoever has the key can recognise the person on what is sent of it.
            photos: to be enrolled under the pseudonym, at least one.

        Raises:
            ValueError: as for `renew`.
            ProviderError: the provider refused, or was not reached.
        """
        if not photos:
            raise ValueError("photos: expected at least one, got none")
        claimed: set[str] = set()

        def send() -> tuple[Reply, Sender, list[Faces]]:
            sender = self._sender()
            upload = self._uploads(photo, largest=True)[0]
            ask, form = self._ask(person=person)
            faces = [self._read(sender, each) for each in photos]
            sender.check_person([*faces, self._read(sender, photo)])
            put = sender.encode(faces, ask.epoch, form, self._protector(form))
            self._claim(sender, faces, ask.epoch, claimed)
            uploads = sender.uploads(put, ask.epoch, form, challenge=ask.challenge, operation="enrol", person=person)
            body = {"person": person, "upload": upload, "upgrade": uploads, "challenge": ask.challenge}
            return self._post("verify", body), sender, faces

        reply, sender, faces = self._fresh(send)
        decision = reply.read(_DECISION)
        if decision.accepted:
            sender.remember(faces)
        return decision

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
        upload: Upload = "image" if self.upload == "auto" else self.upload
        done = protect(
            photo, keys=[key], upload=upload, method=self.method, allow_revealing=self.allow_revealing, secret=None
        )
        return Prepared(photo=done, keys=(key,)).uploads(key, largest=largest)

    def _challenge(self) -> str:
        return self._send("POST", "/v1/challenges").read(_CHALLENGE).challenge

    def _enrol(self, person: str | None, photos: Sequence[AnyPhoto | Prepared], *, replace: bool) -> str:
        claimed: set[str] = set()

        def send() -> tuple[Reply, Sender, list[Faces]]:
            sender = self._sender()
            ask, form = self._ask(person=person)
            faces = [self._read(sender, photo) for photo in photos]
            sender.check_person(faces)
            # a lost secret is made good under a higher epoch only
            epoch = ask.epoch + 1 if replace else ask.epoch
            data = sender.encode(faces, epoch, form, self._protector(form))
            self._claim(sender, faces, epoch, claimed)
            uploads = sender.uploads(data, epoch, form, challenge=ask.challenge, operation="enrol", person=person or "")
            body = {"person": person, "uploads": uploads, "replace": replace, "challenge": ask.challenge}
            return self._post("persons", body), sender, faces

        reply, sender, faces = self._fresh(send)
        name = reply.read(_ENROLLED)["person"]
        sender.remember(faces)
        return name

    def _asked(
        self,
        operation: Literal["verify", "identify"],
        body: dict[str, Any],
        photo: AnyPhoto | Prepared,
        person: str,
    ) -> Reply:
        claimed: set[str] = set()

        def send() -> Reply:
            sender = self._sender()
            key = sender.possession.public.hex()
            ask, form = self._ask(person=person) if person else self._ask(possession=key)
            faces = [self._read(sender, photo, largest=bool(person) or self.purpose is None)]
            sender.check_person(faces)
            data = sender.encode(faces, ask.epoch, form, self._protector(form))
            self._claim(sender, faces, ask.epoch, claimed)
            uploads = sender.uploads(data, ask.epoch, form, challenge=ask.challenge, operation=operation, person=person)
            sent = {"upload": uploads[0]} if person else {"uploads": uploads}
            return self._post(operation, body | sent | {"challenge": ask.challenge})

        return self._fresh(send)

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
            )
        # before anything is asked or read
        assert self._known.sender.space is not None
        return self._known.sender

    def _ask(self, **who: str | None) -> tuple[_Challenge, Form]:
        query = urlencode({"collection": self.collection} | {name: text for name, text in who.items() if text})
        ask = self._send("POST", f"/v1/challenges?{query}").read(_CHALLENGE)
        if ask.pseudonyms == "off":
            raise ProviderError(
                422, "pseudonyms_off", f"{self.collection} takes no pseudonyms, and nothing was sent without one"
            )
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
            sender.captures.claim(np.concatenate([each.crops for each in faces]), name)
            claimed.add(name)

    def _protector(self, form: Form) -> ProtectorFile | None:
        """The one-pass network of the key's space: the provider's, whose hash its key names, or the shipped one."""
        if form == "feature":
            return None
        key = self.key()
        if self._known.protector is None:
            from facemin.protection.protector_file import ProtectorFile
            from facemin.protection.shipped import shipped_protector

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

"""An app's side: fetch a provider's key, protect on this machine, and send only what is protected.

By default under a pseudonym, which says nothing about the face to anybody without the person's secret.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from facemin.client.answers import Decision, Enrolled, Identified, held
from facemin.client.connection import Connection
from facemin.client.pins import KeyChanged
from facemin.client.probes import OtherTemplatesWarning, check_templates, of_probe
from facemin.client.pseudonymous import (
    NewSecretWarning,
    NotReached,
    SharedSecretWarning,
    UntrustedSpace,
    secret_of,
)
from facemin.client.transport import ProviderError, Reply
from facemin.client.uploads import AnyPhoto, Prepared, prepare
from facemin.image import Photo
from facemin.protection.revealing.finding import RevealingKey
from facemin.runtime.errors import NoSpace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from facemin.pseudonym import Secret

__all__ = [
    "Client",
    "Decision",
    "KeyChanged",
    "NewSecretWarning",
    "NoSpace",
    "NotReached",
    "OtherTemplatesWarning",
    "Prepared",
    "ProviderError",
    "RevealingKey",
    "SharedSecretWarning",
    "UntrustedSpace",
    "prepare",
]


@dataclass(frozen=True)
class Client(Connection):
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
        carrier: "face" sends photos of a face of nobody that carry the pseudonym, where the collection takes them; see
            docs/carriers.md. Needs a secret and torch.
        probe: what of a probe's embedding is sent under a pseudonym, the rest being drawn anew. "decision": of its best
            cosine with what this device enrolled no more than reaches the provider's threshold; decisions stay as they
            are, scores do not. "scores": all of its cosines. "embedding": all of it, for a provider that keeps probes
            as templates.
        method: settings of protection without a pseudonym; the default of `facemin.protection.PROTECTORS` when None.
        compute: where protection without a pseudonym computes.
        allow_revealing: send what shows the plain face, with a `RevealingWarning`; for research on one's own service.
        timeout: seconds for a whole answer; the key of a large recogniser has some 20 MB.
        tries: how often a request is sent at most; sending it again does nothing twice.
        transport: what carries the requests, say `httpx.MockTransport` in a test; the network when None.

    Raises:
        ValueError: another kind of URL.
    """

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
        _check_some(photos)
        if self.secret is not None:
            return self._enrol(person, photos, replace=replace)

        def send() -> Reply:
            uploads = [self._uploads(photo, largest=True)[0] for photo in photos]
            return self._post("persons", {"person": person, "uploads": uploads, "replace": replace})

        return self._fresh(send).read(Enrolled)["person"]

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
            reply, checked = self._asked("verify", body, photo, person, exact=far is not None)
            decision = reply.read(Decision)
            if not decision.accepted:
                checked(decision.score)
            return decision

        def send() -> Reply:
            upload = self._uploads(photo, largest=True)[0]
            return self._post(
                "verify", {"person": person, "upload": upload, "challenge": self._challenge(), "far": far}
            )

        return self._fresh(send).read(Decision)

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
            reply, checked = self._asked("identify", body, photo, "", exact=far is not None)
            results = reply.read(Identified)["results"]
            decisions = [decision for face in results for decision in face]
            if not any(decision.accepted for decision in decisions):
                checked(max((decision.score for decision in decisions), default=-1.0))
            return results

        def send() -> Reply:
            uploads = self._uploads(photo)
            return self._post("identify", {"uploads": uploads, "challenge": self._challenge(), "far": far, "top": top})

        return self._fresh(send).read(Identified)["results"]

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
        _check_some(photos)
        claimed: set[str] = set()

        def send() -> tuple[int, Callable[..., None]]:
            old = self._sender()
            ask, form = self._ask(person=person)
            new = old
            if secret is not None:
                mine, others = secret_of(secret)
                new = replace(old, secret=mine, others=others)
            probe, fresh = [self._read(old, photo)], [self._read(new, each) for each in photos]
            old.check_person([*probe, *fresh])
            epoch = ask.epoch + 1
            # it is decided at a stricter FAR than the threshold that was told
            said = of_probe(old, probe, ask, form, person=person, exact=True)
            sent = old.encode(said, ask.epoch, form, self._protector(form))
            put = new.encode(fresh, epoch, form, self._protector(form))
            self._check_unsent(new, fresh, epoch, claimed)
            self._claim(old, probe, ask.epoch, claimed)
            self._claim(new, fresh, epoch, claimed)
            signed = {"challenge": ask.challenge, "operation": "renew", "person": person}
            first = old.uploads(sent, ask.epoch, form, replaced_by=(put, new.possession.public), **signed)  # type: ignore[arg-type]
            second = new.uploads(put, epoch, form, **signed)  # type: ignore[arg-type]
            body = {"upload": first[0], "uploads": second, "challenge": ask.challenge}
            self._post(f"persons/{quote(person, safe='')}/renew", body)
            return epoch, partial(new.remember, fresh, epoch, form)

        epoch, remember = self._fresh(send)
        remember(person=person)
        return epoch

    def upgrade(self, person: str, photo: AnyPhoto, photos: Sequence[AnyPhoto]) -> Decision:
        """Verify a person the old way, without a pseudonym, and enrol their pseudonym where they are accepted.

        The one call that sends something without a pseudonym (`photo`) for a client with one.

        Args:
            person: as enrolled without a pseudonym.
            photo: to be verified; whoever has the key can recognise the person on what is sent of it. None that is, or
                was, sent under a pseudonym.
            photos: to be enrolled under the pseudonym, at least one.

        Raises:
            CaptureReused: one capture would go both ways; nothing was sent.
            ValueError: as for `renew`.
            ProviderError: the provider refused, or was not reached.
        """
        _check_some(photos)
        claimed: set[str] = set()

        def send() -> tuple[Reply, Callable[..., None]]:
            sender = self._sender()
            ask, form = self._ask(person=person)
            faces, plain = [self._read(sender, each) for each in photos], self._read(sender, photo)
            sender.check_person([*faces, plain])
            sender.check_apart(plain, faces, ask.epoch)
            put = sender.encode(faces, ask.epoch, form, self._protector(form))
            self._check_unsent(sender, faces, ask.epoch, claimed)
            # notes the photo for the secrets that are stored, of which the client's own need not be one
            upload = self._uploads(photo, largest=True)[0]
            sender.captures.claim_plain(plain.crops)
            self._claim(sender, faces, ask.epoch, claimed)
            uploads = sender.uploads(put, ask.epoch, form, challenge=ask.challenge, operation="enrol", person=person)
            body = {"person": person, "upload": upload, "upgrade": uploads, "challenge": ask.challenge}
            return self._post("verify", body), partial(sender.remember, faces, ask.epoch, form)

        reply, remember = self._fresh(send)
        decision = reply.read(Decision)
        if decision.accepted:
            remember(person=person)
        return decision

    def delete(self, person: str) -> None:
        """Delete a person with every template of theirs; needs a token with the scope admin.

        Raises:
            ProviderError: there is none of that name, or the provider refused, or was not reached.
        """
        try:
            self._send("DELETE", f"{self._place()}/persons/{quote(person, safe='')}")
        except ProviderError as error:
            # an earlier try deleted them, and its answer was lost; a session ends with its person
            if error.code not in ("person_not_found", "session_deleted") or error.tries == 1:
                raise

    def _enrol(self, person: str | None, photos: Sequence[AnyPhoto | Prepared], *, replace: bool) -> str:
        claimed: set[str] = set()

        def send() -> tuple[Reply, int, Callable[..., None]]:
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
            return self._post("persons", body), epoch, partial(sender.remember, faces, epoch, form)

        reply, epoch, remember = self._fresh(send)
        enrolled = reply.read(Enrolled)
        remember(person=enrolled["person"], held=held(enrolled, epoch))
        return enrolled["person"]

    def _asked(
        self,
        operation: Literal["verify", "identify"],
        body: dict[str, Any],
        photo: AnyPhoto | Prepared,
        person: str,
        *,
        exact: bool,
    ) -> tuple[Reply, Callable[[float], None]]:
        """The provider's answer, and what is to be told the score of a refusal."""
        claimed: set[str] = set()

        def send() -> tuple[Reply, Callable[[float], None]]:
            sender = self._sender()
            key = sender.possession.public.hex()
            ask, form = self._ask(person=person) if person else self._ask(possession=key)
            faces = [self._read(sender, photo, largest=bool(person) or self.purpose is None)]
            sender.check_person(faces)
            said = of_probe(sender, faces, ask, form, person=person, exact=exact)
            data = sender.encode(said, ask.epoch, form, self._protector(form))
            self._claim(sender, faces, ask.epoch, claimed)
            uploads = sender.uploads(data, ask.epoch, form, challenge=ask.challenge, operation=operation, person=person)
            sent = {"upload": uploads[0]} if person else {"uploads": uploads}
            reply = self._post(operation, body | sent | {"challenge": ask.challenge})
            return reply, partial(check_templates, sender, said[0], ask.epoch, form, person=person)

        return self._fresh(send)


def _check_some(photos: Sequence[object]) -> None:
    if not photos:
        raise ValueError("photos: expected at least one, got none")

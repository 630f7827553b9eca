"""Commands `client`: enrol, verify, identify, delete, forget."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from facemin.cli.person.secrets import secret_in_use
from facemin.cli.shared.options import FAILED, Device, Json
from facemin.cli.shared.output import answer, available_device, errors, note, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facemin.client.client import Client, Decision
    from facemin.pseudonym import Secret

app = App(name="client", help="Talk to a provider: photos are protected on this machine before anything is sent.")

Url = Annotated[str, Parameter(help="Of the provider, https, or http on this machine.")]
Token = Annotated[str | None, Parameter(help="By default $FACEMIN_TOKEN, which other users of the machine cannot see.")]
Collection = Annotated[str, Parameter(help="Where people are enrolled.")]
Signer = Annotated[str | None, Parameter(help="Ed25519 public key, 64 hexadecimal digits, that must sign the key.")]
FIRST = "default"
"""Name of the secret that is made at its first use."""
SecretName = Annotated[str, Parameter(help="Your secret, made at its first use: without it nobody links what is sent.")]
NoPseudonym = Annotated[
    bool,
    Parameter(negative="", help="Send without a pseudonym: whoever has the provider's key recognises you on it."),
]
Purpose = Annotated[
    str | None,
    Parameter(help="What a site's devices share a secret for, many people under it: weaker than one each."),
]
UploadForm = Annotated[
    Literal["auto", "image", "features"],
    Parameter(help="auto: features under a pseudonym where the provider takes them, else images."),
]
Probe = Annotated[
    Literal["decision", "scores", "embedding"],
    Parameter(help="Of a probe send whether its score with what is enrolled is enough, its scores, or all of it."),
]
Far = Annotated[float | None, Parameter(help="False accept rate whose threshold decides; else the collection's.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Place:
    """A collection of a provider, and the token for it."""

    url: Url
    token: Token = None
    collection: Collection = "main"

    @property
    def bearer(self) -> str | None:
        """The token; the environment's where none was given."""
        return self.token or os.environ.get("FACEMIN_TOKEN")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Sending(Place):
    """How faces are sent under a pseudonym."""

    signer: Signer = None
    secret: SecretName = FIRST
    purpose: Purpose = None
    upload: UploadForm = "auto"
    probe: Probe = "decision"
    device: Device = "auto"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SendingEither(Sending):
    """How faces are sent, under a pseudonym or under none."""

    no_pseudonym: NoPseudonym = False


@app.command(name="enrol")
def client_enrol(
    person: Annotated[str, Parameter(help="What the provider is to call them: a pseudonym.")],
    *photos: Annotated[Path, Parameter(help="The largest face of each is enrolled.")],
    given: SendingEither,
    replace: Annotated[bool, Parameter(negative="", help="Take out the person's earlier templates.")] = False,
    as_json: Json = False,
) -> int:
    """Enrol a person, or add faces to one."""
    _check(given.url, photos)
    name = _client(given, _secret(given)).enrol(person, photos, replace=replace)
    answer({"person": name}, f"enrolled {name} in {given.collection}", as_json=as_json)
    return 0


@app.command(name="verify")
def client_verify(
    person: Annotated[str, Parameter(help="As enrolled.")],
    photo: Annotated[Path, Parameter(help="Its largest face is verified.")],
    /,
    *,
    given: SendingEither,
    far: Far = None,
    as_json: Json = False,
) -> int:
    """Ask whether a photo shows a person.

    Exit status: 0 when accepted, 1 when not, 2 on wrong input or where the provider refused.
    """
    _check(given.url, [photo])
    decision = _client(given, _secret(given)).verify(person, photo, far=far)
    answer(asdict(decision), _told(decision), as_json=as_json)
    return 0 if decision.accepted else FAILED


@app.command(name="identify")
def client_identify(
    photo: Annotated[Path, Parameter(help="All its faces are looked up.")],
    /,
    *,
    given: SendingEither,
    far: Far = None,
    top: Annotated[int, Parameter(help="People named for each face.")] = 5,
    as_json: Json = False,
) -> int:
    """Ask who the people in a photo are, the largest face first.

    Exit status: 0 when some face was accepted as somebody, 1 when none was, 2 as for verify.
    """
    _check(given.url, [photo])
    found = _client(given, _secret(given)).identify(photo, far=far, top=top)
    lines = [
        line
        for number, decisions in enumerate(found, 1)
        for line in (f"face {number}:", *(f"  {_told(decision)}" for decision in decisions))
    ]
    answer([[asdict(decision) for decision in decisions] for decisions in found], *lines, as_json=as_json)
    return 0 if any(decision.accepted for decisions in found for decision in decisions) else FAILED


@app.command(name="renew")
def client_renew(
    person: Annotated[str, Parameter(help="As enrolled.")],
    photo: Annotated[Path, Parameter(help="To be verified under the old pseudonym.")],
    *photos: Annotated[Path, Parameter(help="To be enrolled under the new one; none of them sent before.")],
    given: Sending,
    new_secret: Annotated[
        str | None, Parameter(help="Another secret to renew by; else the old one's next epoch.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Put a fresh pseudonym in place of the old one; the old one is refused from then on."""
    _check(given.url, photos)
    _check(given.url, [photo])
    new = secret_in_use(new_secret) if new_secret is not None else None
    epoch = _client(given, secret_in_use(given.secret)).renew(person, photo, photos, secret=new)
    line = f"renewed {person} in {given.collection}: epoch {epoch}"
    answer({"person": person, "epoch": epoch}, line, as_json=as_json)
    return 0


@app.command(name="trust")
def client_trust(
    *,
    url: Url,
    reason: Annotated[str, Parameter(help="Why, for the log.")],
    token: Token = None,
    as_json: Json = False,
) -> int:
    """Agree to pseudonyms for a provider's network that is not on the published list; it is logged."""
    from facemin.client.client import Client
    from facemin.keys.trust import CONSENT

    note(CONSENT)
    client = Client(url, Place(url=url, token=token).bearer, secret=None)
    client.trust(reason)
    graph = client.key().manifest.sha256
    answer({"trusted": graph}, f"trusted {graph} of {url}", as_json=as_json)
    return 0


@app.command(name="delete")
def client_delete(
    person: Annotated[str, Parameter(help="As enrolled.")], /, *, given: Place, as_json: Json = False
) -> int:
    """Delete a person with every template of theirs; needs a token with the scope admin."""
    from facemin.client.client import Client

    Client(given.url, given.bearer, collection=given.collection, secret=None).delete(person)
    values = {"deleted": person, "collection": given.collection}
    answer(values, f"deleted {person} from {given.collection}", as_json=as_json)
    return 0


@app.command(name="forget")
def client_forget(*, url: Url, as_json: Json = False) -> int:
    """Trust the provider's next key, whoever made it: only after the provider has confirmed that it changed."""
    from facemin.client.client import Client

    Client(url, secret=None).forget()
    answer({"forgot": url}, f"forgot the key of {url}; the next one is trusted", as_json=as_json)
    return 0


def _check(url: str, photos: Sequence[Path]) -> None:
    """Refuse an address that is none, and photos that are not there, before a secret is made for them.

    Raises:
        ValueError: so it is.
    """
    from facemin.client.transport import Transport

    Transport(url=url).close()
    if not photos:
        raise ValueError("photos: expected at least one, got none")
    for photo in photos:
        if not photo.is_file():
            raise ValueError(f"{photo}: expected a photo, found {'no file' if photo.exists() else 'nothing there'}")


def _secret(given: SendingEither) -> Secret | None:
    if not given.no_pseudonym:
        return secret_in_use(given.secret)
    note("without a pseudonym whoever has the provider's key, the provider included, recognises you on what is sent")
    return None


def _client(given: Sending, secret: Secret | None) -> Client:
    from facemin.cli.person.photos import public_key

    # fetching a key, loading it and protecting take seconds
    say(errors(), "Protecting on this machine, then asking the provider")
    from facemin.client.client import Client
    from facemin.runtime.compute import Compute

    return Client(
        given.url,
        given.bearer,
        collection=given.collection,
        signer=public_key(given.signer),
        secret=secret,
        purpose=given.purpose,
        upload=given.upload,
        probe=given.probe,
        compute=Compute(device=available_device(given.device)),
    )


def _told(decision: Decision) -> str:
    answer = "accepted" if decision.accepted else "not accepted"
    return (
        f"{decision.person}: {answer}, cosine {decision.score:.4f}, threshold {decision.threshold:.4f} "
        f"at FAR {decision.far:g} ({decision.threshold_id})"
    )

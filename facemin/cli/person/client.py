"""Commands `client`: enrol, verify, identify, delete, forget."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from facemin.cli.shared.options import FAILED, Device, Json
from facemin.cli.shared.output import available_device, errors, note, print_json, say, tell

if TYPE_CHECKING:
    from collections.abc import Iterable

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
Far = Annotated[float | None, Parameter(help="False accept rate whose threshold decides; else the collection's.")]


@app.command(name="enrol")
def client_enrol(
    person: Annotated[str, Parameter(help="What the provider is to call them: a pseudonym.")],
    *photos: Annotated[Path, Parameter(help="The largest face of each is enrolled.")],
    url: Url,
    token: Token = None,
    collection: Collection = "main",
    signer: Signer = None,
    secret: SecretName = FIRST,
    no_pseudonym: NoPseudonym = False,
    purpose: Purpose = None,
    upload: UploadForm = "auto",
    replace: Annotated[bool, Parameter(negative="", help="Take out the person's earlier templates.")] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> int:
    """Enrol a person, or add faces to one."""
    if not photos:
        raise ValueError("photos: expected at least one, got none")
    _check(url, photos)
    name = _client(
        url, token, collection, signer, device, _who(secret, no_pseudonym=no_pseudonym), purpose, upload
    ).enrol(person, photos, replace=replace)
    if as_json:
        print_json({"person": name})
    else:
        tell(f"enrolled {name} in {collection}")
    return 0


@app.command(name="verify")
def client_verify(
    person: Annotated[str, Parameter(help="As enrolled.")],
    photo: Annotated[Path, Parameter(help="Its largest face is verified.")],
    /,
    *,
    url: Url,
    token: Token = None,
    collection: Collection = "main",
    signer: Signer = None,
    secret: SecretName = FIRST,
    no_pseudonym: NoPseudonym = False,
    purpose: Purpose = None,
    upload: UploadForm = "auto",
    far: Far = None,
    device: Device = "auto",
    as_json: Json = False,
) -> int:
    """Ask whether a photo shows a person.

    Exit status: 0 when accepted, 1 when not, 2 on wrong input or where the provider refused.
    """
    _check(url, [photo])
    decision = _client(
        url, token, collection, signer, device, _who(secret, no_pseudonym=no_pseudonym), purpose, upload
    ).verify(person, photo, far=far)
    if as_json:
        print_json(asdict(decision))
    else:
        tell(_told(decision))
    return 0 if decision.accepted else FAILED


@app.command(name="identify")
def client_identify(
    photo: Annotated[Path, Parameter(help="All its faces are looked up.")],
    /,
    *,
    url: Url,
    token: Token = None,
    collection: Collection = "main",
    signer: Signer = None,
    secret: SecretName = FIRST,
    no_pseudonym: NoPseudonym = False,
    purpose: Purpose = None,
    upload: UploadForm = "auto",
    far: Far = None,
    top: Annotated[int, Parameter(help="People named for each face.")] = 5,
    device: Device = "auto",
    as_json: Json = False,
) -> int:
    """Ask who the people in a photo are, the largest face first.

    Exit status: 0 when some face was accepted as somebody, 1 when none was, 2 as for verify.
    """
    _check(url, [photo])
    found = _client(
        url, token, collection, signer, device, _who(secret, no_pseudonym=no_pseudonym), purpose, upload
    ).identify(photo, far=far, top=top)
    if as_json:
        print_json([[asdict(decision) for decision in decisions] for decisions in found])
    else:
        for number, decisions in enumerate(found, 1):
            tell(f"face {number}:", *(f"  {_told(decision)}" for decision in decisions))
    return 0 if any(decision.accepted for decisions in found for decision in decisions) else FAILED


@app.command(name="renew")
def client_renew(
    person: Annotated[str, Parameter(help="As enrolled.")],
    photo: Annotated[Path, Parameter(help="To be verified under the old pseudonym.")],
    *photos: Annotated[Path, Parameter(help="To be enrolled under the new one; none of them sent before.")],
    url: Url,
    token: Token = None,
    collection: Collection = "main",
    signer: Signer = None,
    secret: SecretName = FIRST,
    new_secret: Annotated[
        str | None, Parameter(help="Another secret to renew by; else the old one's next epoch.")
    ] = None,
    purpose: Purpose = None,
    upload: UploadForm = "auto",
    device: Device = "auto",
    as_json: Json = False,
) -> int:
    """Put a fresh pseudonym in place of the old one; the old one is refused from then on."""
    if not photos:
        raise ValueError("photos: expected at least one to be enrolled, got none")
    _check(url, [photo, *photos])
    new = _who(new_secret, no_pseudonym=False) if new_secret is not None else None
    client = _client(url, token, collection, signer, device, _who(secret, no_pseudonym=False), purpose, upload)
    epoch = client.renew(person, photo, photos, secret=new)
    if as_json:
        print_json({"person": person, "epoch": epoch})
    else:
        tell(f"renewed {person} in {collection}: epoch {epoch}")
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
    client = Client(url, token or os.environ.get("FACEMIN_TOKEN"), secret=None)
    client.trust(reason)
    graph = client.key().manifest.sha256
    if as_json:
        print_json({"trusted": graph})
    else:
        tell(f"trusted {graph} of {url}")
    return 0


@app.command(name="delete")
def client_delete(
    person: Annotated[str, Parameter(help="As enrolled.")],
    /,
    *,
    url: Url,
    token: Token = None,
    collection: Collection = "main",
    as_json: Json = False,
) -> int:
    """Delete a person with every template of theirs; needs a token with the scope admin."""
    from facemin.client.client import Client

    Client(url, token or os.environ.get("FACEMIN_TOKEN"), collection=collection, secret=None).delete(person)
    if as_json:
        print_json({"deleted": person, "collection": collection})
    else:
        tell(f"deleted {person} from {collection}")
    return 0


@app.command(name="forget")
def client_forget(*, url: Url, as_json: Json = False) -> int:
    """Trust the provider's next key, whoever made it: only after the provider has confirmed that it changed."""
    from facemin.client.client import Client

    Client(url, secret=None).forget()
    if as_json:
        print_json({"forgot": url})
    else:
        tell(f"forgot the key of {url}; the next one is trusted")
    return 0


def _check(url: str, photos: Iterable[Path]) -> None:
    """Refuse an address that is none, and photos that are not there, before a secret is made for them."""
    from facemin.client.transport import Transport

    Transport(url=url).close()
    for photo in photos:
        if not photo.is_file():
            raise ValueError(f"{photo}: expected a photo, found {'no file' if photo.exists() else 'nothing there'}")


def _who(secret: str, *, no_pseudonym: bool) -> Secret | None:
    from facemin.cli.person.secrets import secret_in_use

    if no_pseudonym:
        note(
            "without a pseudonym whoever has the provider's key, the provider included, recognises you on what is sent"
        )
        return None
    return secret_in_use(secret)


def _client(
    url: str,
    token: str | None,
    collection: str,
    signer: str | None,
    device: str,
    secret: Secret | None,
    purpose: str | None,
    upload: Literal["auto", "image", "features"],
) -> Client:
    from facemin.cli.person.photos import public_key

    # fetching a key, loading it and protecting take seconds
    say(errors(), "Protecting on this machine, then asking the provider")
    from facemin.client.client import Client
    from facemin.runtime.compute import Compute

    return Client(
        url,
        token or os.environ.get("FACEMIN_TOKEN"),
        collection=collection,
        signer=public_key(signer),
        secret=secret,
        purpose=purpose,
        upload=upload,
        compute=Compute(device=available_device(device)),
    )


def _told(decision: Decision) -> str:
    answer = "accepted" if decision.accepted else "not accepted"
    return (
        f"{decision.person}: {answer}, cosine {decision.score:.4f}, threshold {decision.threshold:.4f} "
        f"at FAR {decision.far:g} ({decision.threshold_id})"
    )

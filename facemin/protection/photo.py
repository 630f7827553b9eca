"""Photo protection: decode, detect, align, protect; one photo or a stream of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from facemin.face import Detector
from facemin.image import MAX_PIXELS
from facemin.keys.default import default_key
from facemin.protection.carrier.open import (
    CarrierKind,
    check_carried_upload,
    is_carrier,
    keys_for_carriers,
    open_carrier,
)
from facemin.protection.contract import RunOptions
from facemin.protection.result import Failure, NothingProtected, ProtectedFace, ProtectedPhoto, Upload
from facemin.protection.sources import image_groups, open_aimed, open_keys, open_method, open_secret
from facemin.protection.stream import PhotoStream, PlainStream, PseudonymStream, Reading
from facemin.protection.targets import Identity, TargetMaker, check_keys
from facemin.pseudonym import DEFAULT_SECRET, LOCAL, Secret
from facemin.runtime.compute import DEFAULT_COMPUTE
from facemin.runtime.seeds import check_seed, fresh_seed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Unpack

    from facemin.keys.key import Key
    from facemin.protection.contract import OnStep
    from facemin.protection.sources import AnyKey, AnyPhoto, AnySecret
    from facemin.protection.stream import OpenPhoto
    from facemin.runtime.compute import Compute

__all__ = ["Failure", "NothingProtected", "ProtectedFace", "ProtectedPhoto", "Upload", "protect", "protect_photos"]


class ProtectOptions(TypedDict, total=False):
    """Keywords of `protect` and `protect_photos`, whose signature has the defaults.

    Attributes:
        keys: whose holders shall still recognise the people, each a `Key` or its file. The default key when there is
            none, with a secret only.
        secret: the person's, or its name among `SecretStore`'s; one that is not there is made, see
            `ProtectedPhoto.secret_made`. None for plain protection.
        purpose: the collection, or another purpose that the recipient names.
        origin: the recipient's, as "https://acme.example", or one for each key; "local" where it is not known.
        epoch: raised by renewal.
        method: settings, or a name: "auto" (also None) for "one-pass" where the key has a protector, else "robust";
            "pmt", and without a secret "pmt-enhanced" and "frequency-mask".
        upload: what `save` writes: "image", or "features" for a single key: under a pseudonym the rotated embedding
            itself, else the protected feature E_c(x~).
        linkable: with a secret, make one photo's images for several keys, knowing that it links the pseudonyms.
        one_image: with `linkable`, one image for all of them.
        trust_key: with a secret, trust a key's network that is not on the list: from the second upload on a dishonest
            one can identify the person. Noted for later.
        once: with a secret, refuse a capture that was protected under the same pseudonym before, too; for what is sent
            at once.
        seed: of the noise that protection starts from, in [0, 2^128); drawn from the system when None. Keep it
            secret: without a secret, with it and a guess of the photo, anybody can make the same protected image.
        detector: to share one among many calls.
        max_pixels: most pixels that a photo may have; phones of 108 megapixels need more than the default.
        allow_revealing: without a secret, keep results that still show the plain face, with a `RevealingWarning`; for
            research.
        compute: the device, the precision of gradients, and how many faces at once.
        on_step: told before every step how many steps each face in work has taken.
        carrier: "face" or "drawing" makes a photo of a face of nobody that carries the pseudonym, for a service that
            insists on a photo; settings are a `FaceCarrier` as `method`. Needs a secret, torch, and a service whose
            network is known, by `keys` or `network`. See docs/carriers.md.
        network: with a carrier, the network that a service without a key of its own runs: "dlib-resnet29".
    """

    keys: Sequence[AnyKey] | AnyKey
    secret: AnySecret
    purpose: str
    origin: str | Sequence[str]
    epoch: int
    method: Any
    upload: Upload
    linkable: bool
    one_image: bool
    trust_key: bool
    once: bool
    seed: int | None
    detector: Detector | None
    max_pixels: int
    allow_revealing: bool
    compute: Compute
    on_step: OnStep | None
    carrier: CarrierKind | None
    network: str | None


def protect(photo: AnyPhoto, **options: Unpack[ProtectOptions]) -> ProtectedPhoto:
    """Protect a photo for the holders of the keys, under the person's pseudonym with each.

    With a secret, what is sent says nothing about the face to anybody without it, the keys' holders included; they
    recognise the person among what was made with the same secret, purpose, origin and epoch. One secret is for one
    person: the first face under it is remembered, and of a photo the largest face like it is protected. Without a
    secret (`secret=None`) every face is protected, and whoever has the key, or a network like it, recognises people.

    Example:
        >>> out = facemin.protect("me.jpg", keys=["acme.key.onnx"], origin="https://acme.example")  # doctest: +SKIP
        >>> out.save("me.protected.png")  # doctest: +SKIP

    Args:
        photo: a path, a file's bytes, a PIL image, a uint8 array (H, W, 3) in RGB or (H, W) in grey, or what `decode`
            gave.
        **options: see `ProtectOptions`.

    Returns:
        The photo's protected faces, largest first; a `NothingProtected` where none could be.

    Raises:
        NoSpace: with a secret, a key without a space.
        UntrustedKey: with a secret, a key whose network is not trusted.
        OtherPerson: with a secret, no face is like the remembered one.
        CaptureReused: with a secret, the photo was protected under another pseudonym before.
        RevealingKey: without a secret, a result would show the plain face.
        InvalidPhoto: when the photo cannot be read.
        InvalidKey: a file that is no key, or must not be used.
        ValueError: no key, an unknown method, or settings out of range.
        FileNotFoundError: when the path does not exist.
    """
    result = next(protect_photos([photo], keep_errors=False, **options))
    assert isinstance(result, ProtectedPhoto)
    return result


def protect_photos(
    photos: Iterable[AnyPhoto],
    *,
    keys: Sequence[AnyKey] | AnyKey = (),
    secret: AnySecret = DEFAULT_SECRET,
    purpose: str = "main",
    origin: str | Sequence[str] = LOCAL,
    epoch: int = 0,
    method: Any = None,
    upload: Upload = "image",
    linkable: bool = False,
    one_image: bool = False,
    trust_key: bool = False,
    once: bool = False,
    seed: int | None = None,
    detector: Detector | None = None,
    aligned: bool = False,
    keep_photo: bool = True,
    keep_errors: bool = True,
    max_pixels: int = MAX_PIXELS,
    allow_revealing: bool = False,
    compute: Compute = DEFAULT_COMPUTE,
    on_step: OnStep | None = None,
    carrier: CarrierKind | None = None,
    network: str | None = None,
) -> Iterator[ProtectedPhoto | Failure]:
    """Protect a stream of photos, their faces sharing batches; in order of finishing, in constant memory.

    Args:
        photos: drawn only as fast as faces are protected, one ahead.
        keys: as in `ProtectOptions`, as all that is not named here.
        secret: as there; made, where it is not there, once the first photo is drawn.
        purpose: as there.
        origin: as there.
        epoch: as there.
        method: as there.
        upload: as there.
        linkable: as there.
        one_image: as there.
        trust_key: as there.
        once: as there.
        seed: as there.
        detector: as there.
        aligned: photos are aligned 112 x 112 faces already: detect and align nothing.
        keep_photo: let results with faces hold the plain photo, which `pasted` needs.
        keep_errors: yield a photo that cannot be read or protected as a `Failure` and go on; raise it when False.
        max_pixels: as there.
        allow_revealing: as there.
        compute: as there.
        on_step: as there.
        carrier: as there.
        network: as there.

    Yields:
        One result a photo; a `NothingProtected` for one without a face that could be protected.

    Raises:
        RevealingKey: a result would show the plain face, and `keep_errors` is False.
        ValueError: as `protect`, of the keys and settings; and unreadable photos where `keep_errors` is False.
    """
    given = open_keys(keys)
    carried = carrier is not None or is_carrier(method)
    if carried:
        check_carried_upload(secret=secret, upload=upload)
        given = keys_for_carriers(given, network)
        method = open_carrier(carrier, method)
    elif network is not None:
        raise ValueError(f"network: expected with a carrier, got {network!r} without")
    if secret is not None and not given:
        given = (default_key(),)
    check_upload(given, upload, secret=secret)
    detector = detector or Detector()
    reading = Reading(
        detector=detector,
        aligned=aligned,
        keep_photo=keep_photo,
        keep_errors=keep_errors,
        max_pixels=max_pixels,
        # whoever has one thread shares the cores with others that have one
        ahead=detector.threads != 1,
    )
    seed = fresh_seed() if seed is None else seed
    check_seed(seed)
    run = RunOptions(seed=seed, compute=compute, on_step=on_step)
    if secret is None:
        plain = PlainStream(
            reading,
            method=open_method(method, given),
            keys=given,
            upload=upload,
            allowed=allow_revealing,
            run=run,
        )
        yield from _results(plain, photos, _Made(given, upload, (given,)))
        return
    check_keys(given, linkable=linkable, one_image=one_image, trust_key=trust_key)
    groups = image_groups(given, one_image=one_image)
    # before a secret is made: what cannot be done shall leave none behind
    painter = None if upload == "features" else open_aimed(method, groups)
    whose, others, made = open_secret(secret)
    assert whose is not None
    identity = Identity(
        secret=whose,
        others=others,
        purpose=purpose,
        origin=origin if isinstance(origin, str) else tuple(origin),
        epoch=epoch,
        linkable=linkable,
        once=once,
    )
    stream = PseudonymStream(
        reading,
        maker=TargetMaker(identity, given, carried=carried),
        method=painter,
        groups=groups,
        run=run,
    )
    yield from _results(stream, photos, _Made(given, upload, groups, whose, made, epoch))


def check_upload(keys: Sequence[Key], upload: Upload, *, secret: AnySecret) -> None:
    """Refuse keys that an upload cannot be for.

    Raises:
        ValueError: features for another number of keys than one.
    """
    if upload == "features" and len(keys) != 1:
        raise ValueError(f"upload 'features': expected exactly one key, got {len(keys)}")
    if not keys and secret is None:
        raise ValueError("keys: expected at least one key, got none")


@dataclass(frozen=True)
class _Made:
    """What all results of a run share."""

    keys: tuple[Key, ...]
    upload: Upload
    groups: tuple[tuple[Key, ...], ...]
    secret: Secret | None = None
    secret_made: bool = False
    epoch: int = 0


def _results(stream: PhotoStream, photos: Iterable[AnyPhoto], made: _Made) -> Iterator[ProtectedPhoto | Failure]:
    for _ in stream.run(photos):
        while stream.ready:
            yield _result(stream.ready.popleft(), made)
    while stream.ready:
        yield _result(stream.ready.popleft(), made)


def _result(item: OpenPhoto | Failure, made: _Made) -> ProtectedPhoto | Failure:
    if isinstance(item, Failure):
        return item
    faces = tuple(_face(item, number, made) for number in sorted(item.done))
    kind = ProtectedPhoto if faces else NothingProtected
    return kind(
        name=item.name,
        photo=item.photo,
        exif=item.exif,
        faces=faces,
        at_edge=item.at_edge,
        others=item.others,
        keys=made.keys,
        upload=made.upload,
        notes=(*item.notes, *_unfound(faces)),
        secret=None if made.secret is None else made.secret.fingerprint,
        secret_made=made.secret_made,
        epoch=made.epoch,
    )


def _unfound(faces: Sequence[ProtectedFace]) -> Iterator[str]:
    """What is said of carriers in which the device's own detector finds no face, or several."""
    for face in faces:
        if not face.found:
            yield "the carrier is not found as one face: a service may not find it either; try another seed"


def _face(item: OpenPhoto, number: int, made: _Made) -> ProtectedFace:
    # under a pseudonym there is one face, and its results are those of the groups of keys
    place = 0 if made.secret is not None else number
    return ProtectedFace(
        face=item.faces[place],
        inside=item.inside[place],
        done=item.done[number],
        keys=made.keys if made.secret is None else made.groups[number],
        target=item.targets.get(number),
        revealing=item.revealing.get(number),
    )

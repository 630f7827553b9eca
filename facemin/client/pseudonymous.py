"""Uploads under a pseudonym: embedded, checked, rotated and signed on the person's own device."""

from __future__ import annotations

import base64
import hashlib
import secrets
import warnings
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from facemin.face import Detector, align, is_aligned
from facemin.face.crop import faces_in
from facemin.image import Photo, decode, encode
from facemin.keys.trust import CONSENT, TrustLog
from facemin.protection.contract import as_protected
from facemin.protection.one_pass.protector import OnePassProtector
from facemin.protection.revealing.by_digest import key_runner
from facemin.protection.same_person import same_person_threshold
from facemin.protection.upload import encode_feature
from facemin.pseudonym import (
    LOSS,
    CaptureLog,
    Context,
    EnrolledFace,
    EnrolledTemplates,
    OtherPerson,
    PossessionKey,
    Pseudonym,
    Secret,
    SecretStore,
    UploadStatement,
)
from facemin.pseudonym.captures import check_apart
from facemin.pseudonym.possession import renewal_digest
from facemin.runtime.errors import FaceminError, NoFace, NoSpace, UntrustedKey

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from facemin.keys.key import Key
    from facemin.models.space import Space
    from facemin.protection.carrier.protector import FaceCarrier
    from facemin.protection.one_pass.protector_file import ProtectorFile

Form = Literal["image", "feature"]
Operation = Literal["enrol", "verify", "identify", "renew"]
Probe = Literal["decision", "scores", "embedding"]
"""What of a probe is sent: whether its best cosine is enough; its cosines with what is enrolled; all of it."""

SITE = (
    "a secret that a site's devices share for many people is weaker than one a person: some 64 photos whose uploads "
    "are known give its rotation, and with it everybody's faces; and whoever takes one device has it"
)
"""Said where a purpose shared by devices is set."""


class UntrustedSpace(UntrustedKey):
    """A provider's key has a network that is not on the published list, and was not agreed to."""


class NotReached(FaceminError):  # noqa: N818 - what happened
    """A protected image does not carry what its key asks for, or the key asks for nothing: it is not sent."""


class SharedSecretWarning(UserWarning):
    """Several people's faces go under one secret."""


class NewSecretWarning(UserWarning):
    """A secret was made; losing it loses every enrolment."""


@dataclass(frozen=True, kw_only=True)
class Faces:
    """The aligned faces of one photo, and their embeddings before any rotation."""

    crops: NDArray[np.uint8] = field(repr=False)
    """(N, 112, 112, 3) RGB, the largest face first."""
    embeddings: NDArray[np.float64] = field(repr=False)
    """(N, D), rows of unit length."""


def crops_of(faces: Sequence[Faces]) -> NDArray[np.uint8]:
    """The aligned faces of several photos, (N, 112, 112, 3)."""
    return np.concatenate([each.crops for each in faces])


@dataclass(frozen=True, kw_only=True)
class Sender:
    """One secret at one provider, for one purpose.

    Args:
        secret: of the person, or of a site.
        origin: URL of the provider.
        collection: where the uploads go; what is signed names it.
        key: of the provider.
        purpose: shared by a site's devices; the collection when None, and the secret is one person's.
        others: the person's other secrets, under which no photo may be sent again.
        carrier: makes images that look like photos; None for images as the key's protector or optimisation makes them.
        probe: what of a probe's embedding is sent. Of many people under one secret, and in carriers, all of it is.
    """

    secret: Secret = field(repr=False)
    origin: str
    collection: str
    key: Key
    purpose: str | None = None
    others: tuple[Secret, ...] = field(default=(), repr=False)
    carrier: FaceCarrier | None = None
    probe: Probe = "decision"

    @cached_property
    def space(self) -> Space:
        """Of the key.

        Raises:
            NoSpace: it has none.
            UntrustedSpace: its graph is not trusted.
        """
        manifest = self.key.manifest
        space = self.key.space
        if space is None:
            raise NoSpace(
                f"key {manifest.key_id} of {manifest.provider}: expected one with a space, which a pseudonym needs, "
                "got an older one without. Nothing was sent; without a pseudonym (secret=None, --no-pseudonym) whoever "
                "has the key recognises you on what is sent"
            )
        if TrustLog().find(manifest.sha256) is None:
            raise UntrustedSpace(
                f"key {manifest.key_id} of {manifest.provider}: expected a network on the published list, got "
                f"{manifest.sha256[:16]} ({manifest.recogniser}). Nothing was sent: {CONSENT}. "
                "To use it all the same: facemin client trust --url URL"
            )
        return space

    @property
    def possession(self) -> PossessionKey:
        """What uploads are signed with: the same for every key, space and epoch."""
        return PossessionKey(secret=self.secret, origin=self.origin, purpose=self.collection)

    def pseudonym(self, epoch: int) -> Pseudonym:
        """The rotation of an epoch."""
        context = Context(
            origin=self.origin,
            signer=self.key.signer or b"",
            space=self.space.id,
            dimension=self.space.dimension,
            purpose=self.collection if self.purpose is None else self.purpose,
            epoch=epoch,
        )
        return Pseudonym(secret=self.secret, context=context)

    @property
    def captures(self) -> CaptureLog:
        """What was sent before."""
        return CaptureLog(secret=self.secret, others=self.others)

    def read(self, photo: str | Path | bytes | Photo, *, largest: bool, detector: Detector) -> Faces:
        """Find, align and embed the faces of a photo, on this device.

        Args:
            photo: as for `facemin.protect`.
            largest: the largest face alone.
            detector: finds them.

        Raises:
            NoFace: there is none.
            ValueError: an unreadable photo, or an untrusted key.
        """
        space = self.space
        pixels = photo.pixels if isinstance(photo, Photo) else decode(photo).pixels
        if is_aligned(pixels):
            crops = pixels[None]
        else:
            found = faces_in(pixels, detector)
            if not found.faces:
                name = "photo" if isinstance(photo, bytes | Photo) else str(photo)
                raise NoFace(f"{name}: no face found that could be protected")
            crops = align(pixels, found.points)
        crops = crops[:1] if largest else crops
        return Faces(crops=crops, embeddings=space.embed(key_runner(self.key), crops))

    def check_person(self, faces: Sequence[Faces]) -> None:
        """Refuse faces unlike each other, or unlike the enrolled one; a site's secret is for many people.

        Raises:
            OtherPerson: they are.
        """
        if self.purpose is not None:
            return
        rows = np.concatenate([each.embeddings for each in faces])
        limit = same_person_threshold(self.space)
        EnrolledFace(secret=self.secret).check_same_person(rows, space=self.space.id, threshold=limit)
        lowest = float((rows @ rows[0]).min())
        if lowest < limit:
            raise OtherPerson(
                f"photos: expected faces of one person (cosine {limit:.4f} or more), got {lowest:.4f}: one secret is "
                "for one person"
            )

    def check_apart(self, plain: Faces, faces: Sequence[Faces], epoch: int) -> None:
        """Refuse a face for sending without a pseudonym that is, or was, sent under one too.

        Raises:
            CaptureReused: so it is.
        """
        name = self.pseudonym(epoch).fingerprint
        check_apart(plain.crops, crops_of(faces), name)
        self.captures.check_plain(plain.crops)

    def remember(self, faces: Sequence[Faces], epoch: int, form: Form, *, person: str, held: int | None = None) -> None:
        """Take enrolled faces for the ones that this secret stands for, and for what a person is compared with.

        Args:
            faces: as they were enrolled.
            epoch: of the pseudonym.
            form: in which they were sent.
            person: as the provider calls them.
            held: templates that the provider has of them under it now; these alone when None.
        """
        if self.purpose is None:
            rows = np.concatenate([each.embeddings for each in faces])
            limit = same_person_threshold(self.space)
            EnrolledFace(secret=self.secret).remember(
                rows, space=self.space.id, purpose=self.collection, threshold=limit
            )
            held = len(rows) if held is None else held
            kept = EnrolledTemplates(secret=self.secret)
            kept.add(self.pseudonym(epoch), person, rows, held=held, exact=form == "feature")

    def encode(
        self, faces: Sequence[Faces], epoch: int, form: Form, protector: ProtectorFile | None
    ) -> tuple[bytes, ...]:
        """What is sent of faces: rotated features, or images painted for them.

        Raises:
            NotReached: an image misses its target by more than the key allows.
        """
        if self.carrier is not None and form == "image":
            from facemin.client.carriers import carriers

            return carriers(self, np.concatenate([each.embeddings for each in faces]), epoch, self.carrier)
        targets = self.pseudonym(epoch).targets(np.concatenate([each.embeddings for each in faces]))
        if form == "feature":
            return tuple(encode_feature(target, self.key) for target in targets)
        return tuple(encode(image) for image in self._images(targets, protector))

    def uploads(
        self,
        data: Sequence[bytes],
        epoch: int,
        form: Form,
        *,
        challenge: str,
        operation: Operation,
        person: str,
        replaced_by: tuple[Sequence[bytes], bytes] | None = None,
    ) -> list[dict[str, Any]]:
        """Uploads as they are sent, each signed.

        Args:
            data: as `encode` gave it.
            epoch: as for `encode`.
            form: as for `encode`.
            challenge: of the provider.
            operation: that they are for.
            person: as the provider calls them; empty where that is asked.
            replaced_by: for the probe of a renewal: what replaces the old uploads, and its possession key.
        """
        key, found = self.possession, []
        for each in data:
            digest = hashlib.sha256(each).digest()
            if replaced_by is not None:
                new, public = replaced_by
                digest = renewal_digest(digest, [hashlib.sha256(other).digest() for other in new], public)
            statement = UploadStatement(
                challenge=challenge.encode(),
                operation=operation,
                purpose=self.collection,
                upload=digest,
                person=person,
                epoch=epoch,
            )
            found.append(
                {
                    "kind": form,
                    "key_id": self.key.manifest.key_id,
                    "data": base64.b64encode(each).decode(),
                    "pseudonym": {"space": self.space.id.hex(), "epoch": epoch},
                    "possession": {"public_key": key.public.hex(), "signature": key.sign(statement).hex()},
                }
            )
        return found

    def _images(self, targets: NDArray[np.float32], protector: ProtectorFile | None) -> list[NDArray[np.uint8]]:
        """Painted by the protector, and optimised where there is none or it falls short and torch is there."""
        method: Any
        if protector is None:
            # takes torch
            from facemin.protection.registry import DEFAULT_PROTECTOR, PROTECTORS

            method = PROTECTORS[DEFAULT_PROTECTOR]
        else:
            method = OnePassProtector(files=(protector,))
        stream = method.aim([(target,) for target in targets], [self.key], seed=secrets.randbits(128))
        done = sorted((as_protected(each, [self.key], method) for each in stream), key=lambda each: each.index)
        missed = [each for each in done if not each.reached]
        if missed:
            limit, most = missed[0].check.limits[0], max(max(each.residuals) for each in missed)
            raise NotReached(
                f"image: expected a distance to its target of at most {limit:g}, got {most:.3g}: its provider "
                "might not recognise the person, and nothing was sent. Try again, or send features"
            )
        return [each.pixels for each in done if each.pixels is not None]


def secret_of(secret: str | Secret) -> tuple[Secret, tuple[Secret, ...]]:
    """A secret by its name, made at its first use, which is said; and the person's other stored ones.

    Raises:
        ValueError: a stored secret is damaged, or others may read it.
    """
    store = SecretStore()
    if isinstance(secret, str):
        name = secret
        secret, made = store.load_or_make(name)
        if made:
            warnings.warn(f"made a new secret, {name} ({secret.fingerprint}). {LOSS}", NewSecretWarning, stacklevel=3)
    mine = secret
    return mine, tuple(other for other in map(store.load, store.names()) if other != mine)

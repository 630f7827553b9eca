"""Uploads: a photo's faces protected for providers, and what is checked before they are sent."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from facemin.client.pseudonymous import NotReached
from facemin.image import Photo
from facemin.keys.key import Key
from facemin.models.onnx.run import FaceRunner
from facemin.runtime.errors import NoFace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facemin.client.connection import Connection
    from facemin.face import Detector
    from facemin.protection import ProtectedFace, ProtectedPhoto, Protector

AnyPhoto: TypeAlias = "str | Path | bytes | Photo"


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


def check_asks(key: Key) -> None:
    """Refuse a key that noise satisfies: whatever is sent for it says nothing, and would be accepted for anybody."""
    from facemin.protection.revealing.measures.image_planes import mean_face

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


def prepare(
    photo: str | Path | bytes | Photo,
    clients: Sequence[Connection],
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
    # all that a photo needs is imported with the first one
    from facemin.protection import protect

    keys = tuple(client.key() for client in clients)
    done = protect(
        photo, keys=keys, seed=seed, method=method, detector=detector, allow_revealing=allow_revealing, secret=None
    )
    return Prepared(photo=done, keys=keys)

"""Uploads without a pseudonym, kept apart from those under one: no capture goes both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from facemin.face import align, is_aligned
from facemin.pseudonym import CaptureLog, SecretStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from facemin.protection import ProtectedFace, ProtectedPhoto


def claim_plain(photo: ProtectedPhoto, faces: Sequence[ProtectedFace]) -> None:
    """Note faces as sent without a pseudonym where the person has secrets; refuse any that was sent under one.

    Whoever has a face's upload without a pseudonym and its upload under one knows whose pseudonym it is.

    Args:
        photo: with its plain pixels.
        faces: those of it that are to be sent.

    Raises:
        CaptureReused: one was sent under a pseudonym.
        ValueError: a stored secret, or what was sent under it, is damaged, or others may read it.
    """
    store = SecretStore()
    secrets = tuple(map(store.load, store.names()))
    if secrets and photo.photo is not None:
        CaptureLog(secret=secrets[0], others=secrets[1:]).claim_plain(_crops(photo.photo.pixels, faces))


def _crops(pixels: NDArray[np.uint8], faces: Sequence[ProtectedFace]) -> NDArray[np.uint8]:
    """Aligned faces as a pseudonym's are cut, so that their hashes agree, (N, 112, 112, 3)."""
    return pixels[None] if is_aligned(pixels) else align(pixels, np.stack([face.face.points for face in faces]))

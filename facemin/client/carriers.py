"""Carriers as a client sends them: photos of a synthetic face, checked before they go."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from facemin.client.pseudonymous import NotReached
from facemin.protection.carrier.target import PseudonymTarget
from facemin.pseudonym import EnrolledFace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from facemin.client.pseudonymous import Sender
    from facemin.protection.carrier.protector import FaceCarrier


def carriers(sender: Sender, rows: NDArray[np.float64], epoch: int, carrier: FaceCarrier) -> tuple[bytes, ...]:
    """A photo for each embedding.

    Args:
        sender: whose pseudonym they carry.
        rows: embeddings before any rotation, (N, D).
        epoch: of the pseudonym.
        carrier: settings.

    Raises:
        NotReached: one is not found as a face, or misses its target; nothing of them is to be sent.
    """
    pseudonym, purpose = sender.pseudonym(epoch), sender.collection if sender.purpose is None else sender.purpose
    enrolled = EnrolledFace(secret=sender.secret).face(space=sender.space.id, purpose=purpose)
    owner = rows.mean(0, keepdims=True) if enrolled is None else enrolled[None]
    targets = [[PseudonymTarget(pseudonym=pseudonym, embedding=row, owner=owner)] for row in rows]
    files = []
    for done in carrier.aim(targets, [sender.key], seed=secrets.randbits(128)):
        assert done.file is not None
        if not done.reached or not done.file.told["found"]:
            raise NotReached(
                f"carrier: expected a face that is found, at most {done.check.limits[0]:g} from its target, got "
                f"{done.residuals[0]:.3g}: its provider might not recognise the person, and nothing was sent. Try "
                "again, or send features"
            )
        files.append(done.file.data)
    return tuple(files)

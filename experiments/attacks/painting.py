"""Images painted in one pass for people under a secret each, as the table of adversaries compares them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from protections import SHOT_PEOPLE, SHOTS, Plain, Uploads

from facemin.models import SPACE_MODEL, load_recogniser
from facemin.models.onnx.run import FaceRunner
from facemin.models.space import mirrored
from facemin.protection.one_pass.painter import OnePass, Painter
from facemin.protection.one_pass.shipped import shipped_protector
from facemin.pseudonym import haar
from facemin.pseudonym.rotation import average_views

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    Targets = NDArray[np.float32]


def painted(faces: Plain, *, secret: bool = True, seed: int = 0) -> Uploads:
    """Paint everybody's photos.

    Args:
        faces: uint8.
        secret: whether everybody has one; without, a target is the face's own place in the space.
        seed: of secrets and noise.
    """
    run = FaceRunner(load_recogniser(SPACE_MODEL).graph.SerializeToString())
    protector = shipped_protector(SPACE_MODEL)
    assert protector is not None
    painter = Painter(protector, run, OnePass(residual=0.4))
    generator = np.random.default_rng(seed)

    def places(group: Tensor) -> Targets:
        pixels = np.ascontiguousarray(group.permute(0, 2, 3, 1).numpy())
        return average_views([run(pixels), run(mirrored(pixels))]).astype(np.float32)

    def turned(rows: Targets, secrets: list[bytes]) -> Targets:
        if not secret:
            return rows
        pairs = zip(rows, secrets, strict=True)
        return np.stack([haar(one, rows.shape[1]) @ row for row, one in pairs]).astype(np.float32)

    def paint(targets: Targets) -> Tensor:
        seeds = generator.integers(2**62, size=len(targets)).tolist()
        pixels = np.stack([image.pixels for image in painter(targets, seeds)])
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()

    def fresh(count: int) -> list[bytes]:
        return [generator.bytes(32) for _ in range(count)]

    secrets, second = fresh(len(faces.test)), places(faces.others)
    test, linked = turned(places(faces.test), secrets), turned(second, secrets)
    others = turned(second, fresh(len(second)))
    train = turned(places(faces.train), fresh(len(faces.train)))
    shots = np.repeat(test[:SHOT_PEOPLE], SHOTS, 0)
    return Uploads(
        test=paint(test),
        others=paint(others),
        train=paint(train),
        shots=paint(shots).unflatten(0, (SHOT_PEOPLE, SHOTS)),
        linked=paint(linked) if secret else None,
    )

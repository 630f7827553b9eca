"""Images painted in one pass for people under a secret each, of faces as an experiment has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from protections import PHOTOS, PORTRAYED, SHOT_PEOPLE, SHOTS, Plain, Uploads

from facemin.keys.default import default_key
from facemin.models import SPACE_MODEL, load_recogniser
from facemin.models.onnx.run import FaceRunner
from facemin.models.space import mirrored
from facemin.protection.one_pass.painter import OnePass, Painter
from facemin.protection.one_pass.protector import CORRECTIONS
from facemin.protection.one_pass.shipped import shipped_protector
from facemin.pseudonym import haar
from facemin.pseudonym.rotation import average_views

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    Targets = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Studio:
    """The shipped one-pass protector and the network of its space, and the randomness of whoever uses them.

    Attributes:
        run: the space's network on 8-bit images.
        painter: the decoder, and the key's check.
        generator: draws secrets and noise.
    """

    run: FaceRunner
    painter: Painter
    generator: np.random.Generator

    @classmethod
    def shipped(cls, seed: int) -> Studio:
        """The protector that ships, its images corrected and checked as clients do it."""
        run = FaceRunner(load_recogniser(SPACE_MODEL).graph.SerializeToString())
        protector = shipped_protector(SPACE_MODEL)
        assert protector is not None
        settings = OnePass(residual=default_key().manifest.residual, corrections=CORRECTIONS)
        painter = Painter(protector, run, settings)
        return cls(run=run, painter=painter, generator=np.random.default_rng(seed))

    def places(self, faces: Tensor) -> Targets:
        """Faces, uint8 (N, 3, 112, 112), as unit rows of the space, each averaged with its mirror image."""
        pixels = np.ascontiguousarray(faces.permute(0, 2, 3, 1).numpy())
        return average_views([self.run(pixels), self.run(mirrored(pixels))]).astype(np.float32)

    def secrets(self, count: int) -> list[bytes]:
        """Fresh ones."""
        return [self.generator.bytes(32) for _ in range(count)]

    def paint(self, targets: Targets) -> Tensor:
        """An image for each target, uint8 (N, 3, 112, 112)."""
        seeds = self.generator.integers(2**62, size=len(targets)).tolist()
        pixels = np.stack([image.pixels for image in self.painter(targets, seeds)])
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()


def turned(rows: Targets, secrets: list[bytes]) -> Targets:
    """Each row under the rotation of its own secret."""
    pairs = zip(rows, secrets, strict=True)
    return np.stack([haar(one, rows.shape[1]) @ row for row, one in pairs]).astype(np.float32)


def painted(faces: Plain, *, seed: int = 0) -> Uploads:
    """Paint everybody's photos under a secret each.

    Args:
        faces: uint8.
        seed: of secrets and noise.
    """
    studio = Studio.shipped(seed)
    secrets, second = studio.secrets(len(faces.test)), studio.places(faces.others)
    test, linked = turned(studio.places(faces.test), secrets), turned(second, secrets)
    others = turned(second, studio.secrets(len(second)))
    train = turned(studio.places(faces.train), studio.secrets(len(faces.train)))
    shots = np.repeat(test[:SHOT_PEOPLE], SHOTS, 0)
    apart = [one for one in studio.secrets(PORTRAYED) for _ in range(PHOTOS)]
    photos = turned(studio.places(faces.photos.flatten(0, 1)), apart)
    return Uploads(
        test=studio.paint(test),
        others=studio.paint(others),
        train=studio.paint(train),
        shots=studio.paint(shots).unflatten(0, (SHOT_PEOPLE, SHOTS)),
        linked=studio.paint(linked),
        photos=studio.paint(photos).unflatten(0, (PORTRAYED, PHOTOS)),
    )

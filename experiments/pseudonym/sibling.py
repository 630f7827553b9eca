"""A fine-tuned sibling of the key's network: a few steps on other people's plain faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from common import Lfw, images_for, unit
from embeddings import crops
from uploads import cast, targets

from facemin.attack.link.sibling import BATCH, fine_tuned
from facemin.models import DEFAULT_MODEL, load_recogniser

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facemin.attack.link.trainable import Trainable
    from facemin.models import Recogniser
    from facemin.models.onnx.run import FaceRunner
    from facemin.protection.one_pass.protector_file import ProtectorFile

    Rows = NDArray[np.float64]

PEOPLE, PHOTOS, RATE = 40, 4, 1e-4
TEST = 300


@dataclass(frozen=True, kw_only=True, eq=False)
class Sibling:
    """A network like the key's, and the gallery as it sees it.

    Attributes:
        network: images to unit embeddings.
        moved: mean cosine of its embeddings to the original's.
        centre: its mean embedding.
        gallery: plain photos of TEST people, (TEST, D).
    """

    network: Trainable
    moved: float
    centre: Rows
    gallery: Rows

    def __call__(self, images: NDArray[np.uint8]) -> Rows:
        """Embeddings less the mean, at unit length."""
        return unit(_embed(self.network, _tensor(images)) - self.centre)


def fine_tune(lfw: Lfw, *, steps: int, seed: int) -> Sibling:
    """Train on PEOPLE, PHOTOS each; the gallery is of others."""
    people = lfw.people("fit", "choose", least=PHOTOS, most=PHOTOS)[:PEOPLE]
    faces = _tensor(crops(lfw.shared, [lfw.paths[row] for rows in people for row in rows]))
    labels = torch.arange(len(people)).repeat_interleave(PHOTOS)
    torch.set_num_threads(1)
    original = load_recogniser(DEFAULT_MODEL)
    network = fine_tuned(original, faces, labels, steps=steps, rate=RATE, seed=seed)
    before = _embed(original, faces[:BATCH])
    moved = float((_embed(network, faces[:BATCH]) * before).sum(1).mean())
    centre = _embed(network, faces).mean(0)
    plain = crops(lfw.shared, [lfw.paths[row] for row in cast(lfw).gallery[:TEST]])
    gallery = unit(_embed(network, _tensor(plain)) - centre)
    return Sibling(network=network, moved=moved, centre=centre, gallery=gallery)


def painted(lfw: Lfw, protector: ProtectorFile, run: FaceRunner, *, seed: int, secret: bool) -> NDArray[np.uint8]:
    """Uploads of TEST people, under the rotations of uploads.py."""
    sent = cast(lfw).sent
    wanted = targets(lfw.both[sent], len(sent), np.random.default_rng((seed, 1)), secret=secret)[:TEST]
    return images_for(wanted, list(range(TEST)), protector, run)


def _embed(network: Trainable | Recogniser, faces: torch.Tensor) -> Rows:
    with torch.no_grad():
        return unit(torch.cat([network(some) for some in faces.split(32)]).double().numpy())


def _tensor(images: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / 255

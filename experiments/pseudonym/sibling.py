"""A fine-tuned sibling of the key's network: a few steps on other people's plain faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from common import Lfw, unit
from embeddings import crops
from torch.nn import functional as F
from uploads import cast, targets

from facemin.attack.link.trainable import Trainable
from facemin.models import DEFAULT_MODEL, load_recogniser
from facemin.protection.one_pass import OnePass, Painter

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

    from facemin.models.onnx.run import FaceRunner
    from facemin.protection.protector_file import ProtectorFile

    Rows = NDArray[np.float64]

PEOPLE, BATCH, RATE, TEST = 60, 24, 1e-3, 150


def fine_tuned(
    lfw: Lfw, protector: ProtectorFile, given: argparse.Namespace, *, steps: int, secret: bool, run: FaceRunner
) -> dict[str, tuple[Rows, Rows]]:
    """Uploads of TEST people and their gallery photos as a sibling embeds them, less its mean."""
    who = cast(lfw)
    people = lfw.people("fit", "choose", least=4, most=4)[:PEOPLE]
    faces = _tensor(crops(lfw.shared, [lfw.paths[row] for rows in people for row in rows]))
    labels = torch.arange(len(people)).repeat_interleave(4)
    torch.manual_seed(given.seed)
    torch.set_num_threads(1)
    network = Trainable(load_recogniser(DEFAULT_MODEL))
    before = _embed(network, faces[:BATCH])
    centres = torch.nn.Parameter(F.normalize(torch.randn(len(people), before.shape[1])))
    optimiser = torch.optim.Adam([*network.parameters(), centres], RATE)
    for _ in range(steps):
        rows = torch.randint(len(faces), (BATCH,))
        loss = F.cross_entropy(16 * F.normalize(network(faces[rows])) @ F.normalize(centres).T, labels[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    moved = float((_embed(network, faces[:BATCH]) * before).sum(1).mean())
    centre = _embed(network, faces).mean(0)
    order = np.random.default_rng((given.seed, 1))
    wanted = targets(lfw.both[who.sent], len(who.sent), order, secret=secret)[:TEST]
    painted = Painter(protector, run, OnePass(residual=0.3)).paint(wanted, list(range(TEST)))
    gallery = crops(lfw.shared, [lfw.paths[row] for row in who.gallery[:TEST]])
    sent, held = (_embed(network, _tensor(images)) for images in (painted, gallery))
    return {f"a sibling of the key's network, cosine {moved:.2f} to it": (unit(sent - centre), unit(held - centre))}


def _embed(network: torch.nn.Module, faces: torch.Tensor) -> Rows:
    with torch.no_grad():
        return unit(torch.cat([network(some) for some in faces.split(32)]).double().numpy())


def _tensor(images: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float() / 255

"""FaceCure: a recogniser fine-tuned end to end on other people's cloaked photos, to see through cloaks.

Source: Radiya-Dixit, Hong, Carlini and Tramer, Data poisoning won't save you from facial recognition, 2022 (the
adversary has the published tool and trains on what it makes). Ours: distillation to the embeddings of the plain photos
in place of a classification of people, since it needs fewer of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from facemin.attack.link.student import StudentTraining, train_student
from facemin.attack.training import Fitting
from facemin.autograd.pixels import to_tensor
from facemin.experiments.cloaks.photos import unit
from facemin.experiments.cloaks.scoring import Gallery, Lookup, thresholds, thresholds_between
from facemin.runtime.compute import Compute

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from facemin.experiments.cloaks.measure import Keep, PlainSide
    from facemin.experiments.cloaks.people import Photographs
    from facemin.experiments.cloaks.photos import Photos
    from facemin.models import Recogniser

TRAINING = StudentTraining(body="recogniser", fitting=Fitting(epochs=2, batch=16, rate=3e-4))
_KINDS = 4
"""Of pairs, each photo once: plain, cloaked, and twice with what another photo's cloak changed."""


class CloakedPairs:
    """Pairs of a photo, plain or cloaked, and a recogniser's embedding of the plain photo.

    Args:
        plain: aligned faces, uint8 (N, 112, 112, 3).
        cloaked: the same photos cloaked.
        embeddings: of the plain photos, unit rows (N, D).
    """

    def __init__(self, plain: np.ndarray, cloaked: np.ndarray, embeddings: Tensor) -> None:
        self._plain, self._embeddings = plain.astype(np.int16), embeddings
        self._changes = cloaked.astype(np.int16) - self._plain
        others = [np.random.default_rng([7, kind]).permutation(len(plain)) for kind in range(_KINDS - 2)]
        self._whose = [np.arange(len(plain)), *others]

    def __len__(self) -> int:
        return _KINDS * len(self._plain)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        kind, photo = divmod(index, len(self._plain))
        face = self._plain[photo]
        if kind:
            face = face + self._changes[self._whose[kind - 1][photo]]
        return to_tensor(face.clip(0, 255).astype(np.uint8)[None])[0], self._embeddings[photo]


def with_face_cure(
    name: str,
    recogniser: Recogniser,
    side: PlainSide,
    photos: Photos,
    data: Photographs,
    *,
    attacked: int,
    fars: Sequence[float],
    keep: Keep,
) -> dict[str, Lookup] | None:
    """Photos of the first people looked up by a recogniser that was fine-tuned on the cloaked photos of the rest.

    Args:
        name: of the recogniser.
        recogniser: fine-tuned as a copy.
        side: what it sees of everything plain, before.
        photos: of the people.
        data: the same people, with distractors and impostors.
        attacked: how many of them are looked up.
        fars: whose thresholds decide.
        keep: as `looked_up` has it.

    Returns:
        By condition: fine-tuned for probes and gallery alike, with cloaked and with plain probes; fine-tuned for probes
        alone. None where `keep` ended it.
    """
    people = len(photos.plain)

    def embeddings() -> dict[str, Tensor]:
        rest = slice(attacked, people)
        pairs = CloakedPairs(
            photos.plain[rest].reshape(-1, *photos.plain.shape[2:]),
            photos.cloaked[rest].reshape(-1, *photos.plain.shape[2:]),
            side.people[rest].flatten(0, 1),
        )
        compute = Compute(device="cpu", precision="bfloat16")
        student = train_student(pairs, teacher=recogniser, settings=TRAINING, compute=compute)
        return {
            "enrolled": student(unit(photos.plain[:, photos.enrolled])),
            "cloaked": student(unit(photos.cloaked[:attacked, photos.probes])),
            "plain": student(unit(photos.plain[:attacked, photos.probes])),
            "distractors": student(unit(data.distractors)),
            "impostors": student(unit(data.impostors)),
        }

    seen = keep(f"{name}, fine-tuned", embeddings)
    if seen is None:
        return None
    owners = torch.arange(attacked).repeat_interleave(len(seen["cloaked"]) // attacked)
    both = Gallery(
        enrolled=seen["enrolled"], distractors=seen["distractors"], thresholds=thresholds(seen["impostors"], fars)
    )
    probes = Gallery(
        enrolled=side.people[:people, photos.enrolled],
        distractors=side.distractors,
        thresholds=thresholds_between(seen["impostors"], side.impostors, fars),
    )
    return {
        "fine-tuned on both sides": both.look_up(seen["cloaked"], owners),
        "fine-tuned on both sides, plain": both.look_up(seen["plain"], owners),
        "fine-tuned on probes": probes.look_up(seen["cloaked"], owners),
    }

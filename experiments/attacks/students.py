"""Convolutional students of a strong recogniser: taught by protected images, or by plain faces made poor alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from adversary_forms import TEACHER, made_poor
from setting import judged, load_named

from facemin import load_recogniser
from facemin.attack.datasets import HeldPairs
from facemin.attack.link.centred import centred_scores
from facemin.attack.link.plain_pairs import POOR
from facemin.attack.link.student import Student, StudentTraining, teach, train_student
from facemin.attack.training import Fitting
from facemin.autograd.pixels import to_unit

if TYPE_CHECKING:
    import argparse

    from protections import Plain
    from torch import Tensor

START = "mobileface-v3"


def student(name: str, test: Tensor, train: Tensor, faces: Plain, given: argparse.Namespace) -> dict[str, Any]:
    """Who is found by a network that was taught a stronger one's embeddings by protected images, (N, 3, 112, 112)."""
    teacher = load_recogniser(load_named(given.shared, TEACHER))
    learnt = taught(train, teach(teacher, faces.train[: len(train)]), name, given)
    return {"pairs": len(train), **found(learnt(to_unit(test)) @ teach(teacher, faces.others).T)}


def poor_student(test: Tensor, heap: Tensor, faces: Plain, given: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The same by plain faces made poor in every way, of which one network is taught, once for all that is tested.

    Args:
        test: images of the people tested, uint8 (N, 3, 112, 112).
        heap: images of the same kind of other people, uint8, whose mean is taken away in the second record.
        faces: the plain ones.
        given: `shared`, `cache` and `epochs`.

    Returns:
        "poor" and "poor, centred".
    """
    teacher = load_recogniser(load_named(given.shared, TEACHER))
    public, gallery = teach(teacher, faces.public), teach(teacher, faces.others)
    images = torch.cat([made_poor(faces.public, kind) for kind in POOR])
    learnt = taught(images, public.repeat(len(POOR), 1), "poor", given)
    seen, others = learnt(to_unit(test)), learnt(to_unit(heap))
    centred = centred_scores(seen, gallery, heap=others, public=public)
    return {
        "poor": {"pairs": len(images), **found(seen @ gallery.T)},
        "poor, centred": {"pairs": len(images), "heap": len(heap), **found(centred)},
    }


def poor_in_turn(faces: Tensor) -> Tensor:
    """Each face made poor in one way, the next one in the next; uint8."""
    kinds = list(POOR)
    return torch.cat([made_poor(face[None], kinds[at % len(kinds)]) for at, face in enumerate(faces)])


def taught(images: Tensor, targets: Tensor, name: str, given: argparse.Namespace) -> Student:
    """A student that begins from an ordinary recogniser; a training that was ended goes on from the cache."""
    pairs = HeldPairs(images, targets)
    return train_student(
        pairs,
        teacher=load_recogniser(load_named(given.shared, START)),
        settings=StudentTraining(fitting=Fitting(epochs=given.epochs, batch=16, rate=1e-3)),
        checkpoint=given.cache / f"student-{name}-{len(pairs)}.checkpoint",
        on_epoch=lambda epoch: print(epoch, flush=True),
    )


def found(scores: Tensor) -> dict[str, Any]:
    """Area, ranks and scores, which are cosines (N, N)."""
    rows = scores.double().numpy()
    return {**judged(rows), "scores": np.round(rows, 5).tolist()}

"""Fine-tuned siblings of the recognisers that the table of adversaries protects for."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import torch
from setting import lfw_people, load_named

from facemin import load_recogniser
from facemin.attack.link.sibling import as_recogniser, fine_tuned
from facemin.autograd.pixels import to_unit
from facemin.evaluation.judge import embed_all
from facemin.models import DEFAULT_MODEL

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from facemin.models import Recogniser

STEPS, PEOPLE, PHOTOS = 12, 40, 4
_LISTED = 1200
"""Photos among which so many people have four each."""


def base_of(authorised: str) -> str:
    """The network that a recogniser's space is a map of, or itself."""
    return DEFAULT_MODEL if authorised.startswith(DEFAULT_MODEL) else authorised


@cache
def sibling_of(shared: Path, authorised: str) -> Recogniser:
    """A recogniser tuned on forty people of no fold, four photos each."""
    original = load_recogniser(load_named(shared, base_of(authorised)))
    network = fine_tuned(original, *tuning_faces(shared), steps=STEPS, exportable=True)
    return as_recogniser(network, original)


@cache
def tuning_faces(shared: Path) -> tuple[Tensor, Tensor]:
    """Faces (N, 3, 112, 112) in [0, 1], and who is on them."""
    listed = lfw_people(shared, test=1, train=_LISTED, photos=PHOTOS)
    who = [person for person, count in enumerate(torch.bincount(listed.train_people)) if count == PHOTOS][:PEOPLE]
    rows = torch.isin(listed.train_people, torch.tensor(who))
    return to_unit(listed.train[rows]), torch.arange(len(who)).repeat_interleave(PHOTOS)


def moved(shared: Path, authorised: str) -> float:
    """Mean cosine of the sibling's embeddings of those faces to the original's."""
    original = load_recogniser(load_named(shared, base_of(authorised)))
    faces = tuning_faces(shared)[0]
    rows = [embed_all(network, faces) for network in (original, sibling_of(shared, authorised))]
    return float((rows[0] * rows[1]).sum(1).mean())

"""Split of people into training and validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from facemin.train.data.sampler import derived_seed

if TYPE_CHECKING:
    from facemin.train.config import Data
    from facemin.train.data.sources import FaceSource


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """A source's faces in two parts.

    Args:
        images: the faces trained on, (M,) int64 indices into the source.
        labels: of each its class, (M,) int64 in 0..C - 1.
        people: names of the classes, C of them.
        held_out_images: the other part, (K,) int64.
        held_out_identities: of each its number in the source, (K,) int64.
        held_out_people: their names, sorted.
    """

    images: Tensor
    labels: Tensor
    people: tuple[str, ...]
    held_out_images: Tensor
    held_out_identities: Tensor
    held_out_people: tuple[str, ...]


def split_people(source: FaceSource, data: Data) -> Split:
    """Split a source's people as a configuration says.

    Args:
        source: the faces.
        data: `min_images`, `held_out` and `split_seed` of it count.

    Raises:
        ValueError: a person to hold out who is not there, or fewer than two people left to train on.
    """
    identities, names = source.identities, source.people
    enough = (torch.bincount(identities, minlength=len(names)) >= data.min_images).nonzero()[:, 0]
    able = [int(person) for person in enough]
    held = _held_out(names, able, data)
    trained = [person for person in able if person not in held]
    if len(trained) < 2:
        raise ValueError(
            f"data: expected at least 2 people to train on, got {len(trained)} of {len(names)} "
            f"({len(able)} with {data.min_images} images or more, {len(held)} held out)"
        )
    number = torch.full((len(names),), -1)
    number[trained] = torch.arange(len(trained))
    labels = number[identities]
    apart = torch.zeros(len(names), dtype=torch.bool)
    apart[sorted(held)] = True
    images = (labels >= 0).nonzero()[:, 0]
    held_out_images = apart[identities].nonzero()[:, 0]
    return Split(
        images=images,
        labels=labels[images],
        people=tuple(names[person] for person in trained),
        held_out_images=held_out_images,
        held_out_identities=identities[held_out_images],
        held_out_people=tuple(sorted(names[person] for person in held)),
    )


def _held_out(names: tuple[str, ...], able: list[int], data: Data) -> set[int]:
    if isinstance(data.held_out, int):
        if data.held_out > len(able):
            raise ValueError(f"data.held_out: expected at most {len(able)} people, got {data.held_out}")
        generator = torch.Generator().manual_seed(derived_seed(data.split_seed, "held out"))
        order = torch.randperm(len(able), generator=generator).tolist()
        return {able[place] for place in order[: data.held_out]}
    known = {names[person]: person for person in able}
    absent = [name for name in data.held_out if name not in known]
    if absent:
        raise ValueError(
            f"data.held_out: expected people with at least {data.min_images} images, got {len(absent)} others, "
            f"such as {absent[0]!r:.80}"
        )
    return {known[name] for name in data.held_out}

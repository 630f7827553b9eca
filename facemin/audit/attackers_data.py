"""The data of an attacker who trains: plain faces of other people, protected by the attacker with the same key."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch

from facemin.image import to_unit
from facemin.protect import DEFAULT_PROTECTOR, PROTECTORS

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.audit.budget import Budget
    from facemin.audit.evidence import Plain
    from facemin.keys import Key

HELD_OUT = 5
"""One person of so many is kept from training, to choose and to calibrate by."""


class Split(NamedTuple):
    """Rows of plain faces: to train on, and of other people, to choose by."""

    learning: Tensor
    held_out: Tensor


def split_people(people: Tensor, *, seed: int) -> Split:
    """Keep a fifth of the people apart; nobody is on both sides."""
    each, number = torch.unique(people, return_inverse=True)
    order = torch.randperm(len(each), generator=torch.Generator().manual_seed(seed))
    held = torch.zeros(len(each), dtype=torch.bool)
    held[order[: len(each) // HELD_OUT]] = True
    return Split((~held[number]).nonzero()[:, 0], held[number].nonzero()[:, 0])


def protect_for_training(plain: Plain, key: Key, rows: Tensor, budget: Budget, *, seed: int) -> tuple[Tensor, Tensor]:
    """Protect an attacker's own faces with the public key, until time runs out.

    Returns:
        Images (K, 3, 112, 112) in [0, 1], and which rows they were made from, (K,).
    """
    method = replace(PROTECTORS[DEFAULT_PROTECTOR], device="cpu")
    stream = method.stream((plain.faces[row] for row in rows.tolist()), [key], seed=seed)
    images, made = [], []
    for done in stream:
        images.append(to_unit(done.pixels))
        made.append(int(rows[done.index]))
        if budget.over:
            break
    stream_close = getattr(stream, "close", None)
    if stream_close is not None:
        stream_close()
    return torch.stack(images), torch.tensor(made)

"""The data of an attacker who trains: plain faces of other people, protected by the attacker with the same key."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import torch

from facemin.autograd.pixels import to_unit
from facemin.protection import DEFAULT_PROTECTOR, METHODS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from facemin.audit.audit_inputs import Plain
    from facemin.audit.budget import Budget
    from facemin.keys.key import Key
    from facemin.protection import Protector

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


class TrainingPairs:
    """Faces that the attacker has protected so far; each row that trains goes on where the one before it stopped.

    Args:
        method: of the protection; an attacker knows it.
    """

    def __init__(self, method: Protector = METHODS[DEFAULT_PROTECTOR]) -> None:
        self._method = replace(method, device="cpu")
        self._made: dict[int, Tensor] = {}

    def protect(
        self, plain: Plain, keys: Sequence[Key], rows: Tensor, budget: Budget, *, seed: int
    ) -> tuple[Tensor, Tensor]:
        """Protect an attacker's own faces with the public keys, until time runs out.

        Args:
            plain: the attacker's faces.
            keys: all that the audited faces are protected for, so that the attacker's are like them.
            rows: which of them, in order.
            budget: at least one batch is made.
            seed: of the protection.

        Returns:
            Images (K, 3, 112, 112) in [0, 1], and which rows they were made from, (K,).
        """
        method = self._method
        missing = [row for row in rows.tolist() if row not in self._made]
        for start in range(0, len(missing), method.batch):
            if self._made and budget.over:
                break
            batch = missing[start : start + method.batch]
            for done in method(plain.faces[batch], keys, seed=seed):
                self._made[batch[done.index]] = to_unit(done.pixels)
        made = [row for row in rows.tolist() if row in self._made]
        return torch.stack([self._made[row] for row in made]), torch.tensor(made)

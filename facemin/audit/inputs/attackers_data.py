"""Attacker knowledge in an audit: other people's plain faces, protected by the attacker with the same keys."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import torch

from facemin.attack.contract import Knowledge, PublicFaces
from facemin.attack.link.student import teach
from facemin.autograd.pixels import to_tensor, to_unit
from facemin.metrics import cross_identity_threshold
from facemin.protection import DEFAULT_PROTECTOR, PROTECTORS
from facemin.protection.contract import as_protected
from facemin.runtime.compute import Compute

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from facemin.attack.budget import Budget
    from facemin.audit.inputs.audit_inputs import AuditInputs
    from facemin.keys.key import Key
    from facemin.models import Recogniser
    from facemin.protection import Protector

HELD_OUT = 5
"""One person of so many is kept from training, to choose and to calibrate by."""

MOST_TO_CHOOSE_BY = 200
"""Faces that teachers are compared on."""

ON_CPU = Compute(device="cpu")
"""Attackers of an audit compute here: their times are what its page tells."""


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


def split_faces(public: PublicFaces, *, seed: int) -> tuple[PublicFaces, PublicFaces]:
    """Faces to train on, and those of other people, to choose by."""
    split = split_people(public.people, seed=seed)
    learning, held = (PublicFaces(public.faces[rows], public.people[rows]) for rows in split)
    return learning, held


def knowledge_of(evidence: AuditInputs, *, key: Key | None = None, teacher: bool = False) -> Knowledge:
    """What attackers of an audit hold.

    Args:
        evidence: what the audit has in hand.
        key: that they attack with; the first when None.
        teacher: whether one of the other recognisers teaches them; choosing it takes time.
    """
    public, held = (None, None) if evidence.train is None else split_faces(evidence.train, seed=evidence.seed)
    others = [one.recogniser for one in evidence.panel.others] if teacher else []
    best = [] if held is None or not others else [best_teacher(others, held, far=evidence.far)]

    def protector(faces: Tensor, budget: Budget) -> tuple[Tensor, Tensor]:
        return evidence.training.protect(faces, evidence.keys, budget, seed=evidence.seed)

    return Knowledge(
        key=key or next(iter(evidence.keys), None),
        protector=protector if evidence.keys else None,
        public=public,
        recognisers=tuple(best),
        seed=evidence.seed,
        compute=ON_CPU,
    )


def best_teacher(recognisers: Sequence[Recogniser], held: PublicFaces, *, far: float) -> Recogniser:
    """The one that recognises most of the attacker's own people; the first where that cannot be told."""
    faces, people = held.faces[:MOST_TO_CHOOSE_BY], held.people[:MOST_TO_CHOOSE_BY]
    same = (people[:, None] == people).triu(1)
    if len(recognisers) == 1 or not same.any() or len(torch.unique(people)) == 1:
        return recognisers[0]

    def found(recogniser: Recogniser) -> float:
        rows = teach(recogniser, faces)
        at = cross_identity_threshold(rows, people, far=far)
        return float(((rows @ rows.T)[same] >= at.threshold).double().mean())

    return max(recognisers, key=found)


class TrainingPairs:
    """Faces that the attacker has protected so far; each attack that trains goes on where the one before it stopped.

    Args:
        method: of the protection; an attacker knows it.
    """

    def __init__(self, method: Protector = PROTECTORS[DEFAULT_PROTECTOR]) -> None:
        self._method = method
        self._made: dict[bytes, Tensor] = {}

    def protect(self, faces: Tensor, keys: Sequence[Key], budget: Budget, *, seed: int) -> tuple[Tensor, Tensor]:
        """Protect an attacker's own faces with the public keys, until time runs out.

        Args:
            faces: (M, 3, 112, 112) in [0, 1], in the order in which they are protected.
            keys: all that the audited faces are protected for, so that the attacker's are like them.
            budget: at least one batch is made.
            seed: of the protection.

        Returns:
            Images (K, 3, 112, 112) in [0, 1], and which rows they were made from, (K,).
        """
        names = [hashlib.sha256(face.numpy().tobytes()).digest() for face in faces]
        missing = [row for row, name in enumerate(names) if name not in self._made]
        for start in range(0, len(missing), ON_CPU.batch):
            if self._made and budget.over:
                break
            batch = missing[start : start + ON_CPU.batch]
            for done in self._method.stream(iter(faces[batch]), keys, seed=seed, compute=ON_CPU):
                pixels = as_protected(done, keys, self._method).pixels
                assert pixels is not None
                self._made[names[batch[done.index]]] = to_unit(to_tensor(pixels))
        made = [row for row, name in enumerate(names) if name in self._made]
        return torch.stack([self._made[names[row]] for row in made]), torch.tensor(made)

"""The data-poor linker (row T5): a linear map from what an off-the-shelf recogniser makes of a protected image.

No unauthorised recogniser recognises a protected image; but what it sees there may still hold the identity, turned
into something else. A linear map needs few pairs, and is found in one step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from facemin.attack.contract import FEWEST_PAIRS, FittedLinker, needed, own_pairs
from facemin.attack.datasets import HeldPairs
from facemin.attack.features import BATCH
from facemin.attack.link.plain_pairs import POOR
from facemin.attack.link.student import teach
from facemin.attack.training import batch_of, floating

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.attack.budget import Budget
    from facemin.attack.contract import Knowledge
    from facemin.attack.training import Pairs
    from facemin.models import Recogniser

RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
"""Tried on validation people, in units of the inputs' mean variance; the third without any."""

_WITHOUT = 0.1
_PROTECTING = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class RidgeLinker:
    """Images (B, 3, 112, 112) in [0, 1] to unit embeddings (B, D) in the teacher's space.

    Attributes:
        recogniser: off the shelf; its raw embedding of the image is mapped.
        centre: mean of the embeddings that it learnt from, or of protected images, (P,).
        matrix: (P, D).
        offset: the mean of the teacher's embeddings, (D,).
        ridge: the one chosen.
    """

    recogniser: Recogniser
    centre: Tensor
    matrix: Tensor
    offset: Tensor
    ridge: float

    def __call__(self, images: Tensor) -> Tensor:
        """Embed images; on the CPU, float32."""
        return F.normalize((_seen(self.recogniser, images) - self.centre) @ self.matrix + self.offset)


@dataclass(frozen=True, kw_only=True)
class RidgeLinking:
    """The linear map as an attack; the ridge is chosen on validation people.

    Args:
        learns_from: "protected" images, or plain faces alone, made poor in a way that `POOR` names.
        centred: take the mean of protected images, of anybody, away from what a map of plain faces reads in them.

    Raises:
        ValueError: another name, or a map of protected images that is to be centred, as it is anyway.
    """

    learns_from: str = "protected"
    centred: bool = False

    def __post_init__(self) -> None:
        if self.learns_from not in ("protected", *POOR):
            raise ValueError(f"learns_from: expected protected, {', '.join(POOR)}, got {self.learns_from!r}")
        if self.centred and self.learns_from == "protected":
            raise ValueError(f"centred: expected a map of plain faces ({', '.join(POOR)}), got one of protected images")

    def fit(self, knowledge: Knowledge, budget: Budget) -> FittedLinker:
        """See `facemin.attack.contract.Linker`."""
        recognisers = needed(knowledge.recognisers, "another recogniser as a teacher")
        teacher, seen = recognisers[0], recognisers[-1]
        # first, since there may be no time for it
        heap = own_pairs(knowledge, budget.part(_PROTECTING))[0] if self.centred else None
        pairs, validation = (
            self._protected(teacher, knowledge, budget)
            if self.learns_from == "protected"
            else self._poor(teacher, knowledge, budget)
        )
        linker = train_ridge_linker(seen, pairs, validation=validation)
        words = "pairs" if self.learns_from == "protected" else f"plain faces, {self.learns_from}"
        if heap is not None:
            linker = replace(linker, centre=_seen(seen, heap).mean(0))
            words += f", the mean of {len(heap)} protected images taken away"
        return FittedLinker(
            apply=linker,
            gallery=partial(teach, teacher),
            words=f"linear map of {teacher.name}, {len(pairs)} {words}",
            trained_on=len(pairs),
        )

    def _protected(self, teacher: Recogniser, knowledge: Knowledge, budget: Budget) -> tuple[Pairs, Pairs | None]:
        """Protected images of the attacker's own and what the teacher sees in their faces; the same for validation."""
        images, rows = own_pairs(knowledge, budget.part(_PROTECTING))
        pairs = HeldPairs(images, teach(teacher, needed(knowledge.public, "plain faces").faces[rows]))
        if knowledge.validation is None or knowledge.protector is None:
            return pairs, None
        held, of = knowledge.protector(knowledge.validation.faces, budget)
        return pairs, HeldPairs(held, teach(teacher, knowledge.validation.faces[of]))

    def _poor(self, teacher: Recogniser, knowledge: Knowledge, budget: Budget) -> tuple[Pairs, Pairs | None]:
        """Poor plain faces and what the teacher sees in the faces as they were, as many as there is time for."""
        faces = needed(knowledge.public, "plain faces of other people").faces
        parts: list[tuple[Tensor, Tensor]] = []
        for part in faces.split(BATCH):  # type: ignore[no-untyped-call]
            if budget.over and BATCH * len(parts) >= FEWEST_PAIRS:
                break
            parts.append(self._pairs_of(teacher, part))
        images, targets = (torch.cat(side) for side in zip(*parts, strict=True))
        held = knowledge.validation
        validation = None if held is None else HeldPairs(*self._pairs_of(teacher, held.faces))
        return HeldPairs(images, targets), validation

    def _pairs_of(self, teacher: Recogniser, faces: Tensor) -> tuple[Tensor, Tensor]:
        return POOR[self.learns_from](floating(faces)), teach(teacher, faces)


def train_ridge_linker(recogniser: Recogniser, pairs: Pairs, *, validation: Pairs | None = None) -> RidgeLinker:
    """Fit the map by ridge regression.

    Args:
        recogniser: off the shelf, any but the authorised.
        pairs: index to (protected image (3, 112, 112), the teacher's embedding of the plain face (D,)).
        validation: pairs of people that are in neither training nor test, to choose the ridge by, in the attacker's
            favour.

    Raises:
        ValueError: fewer than two pairs.
    """
    if len(pairs) < 2:
        raise ValueError(f"pairs: expected at least 2 to train on, got {len(pairs)}")
    inputs, targets = _all(recogniser, pairs)
    centre, offset = inputs.mean(0), targets.mean(0)
    held_out = None if validation is None else _all(recogniser, validation)
    best: tuple[float, RidgeLinker] | None = None
    for ridge in RIDGES if held_out is not None else (_WITHOUT,):
        x = (inputs - centre).double()
        gram = x.T @ x
        gram += ridge * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
        matrix = torch.linalg.solve(gram, x.T @ (targets - offset).double()).float()
        linker = RidgeLinker(recogniser=recogniser, centre=centre, matrix=matrix, offset=offset, ridge=ridge)
        score = 0.0
        if held_out is not None:
            found = (held_out[0] - centre) @ matrix + offset
            score = float(F.cosine_similarity(found, held_out[1]).mean())
        if best is None or score > best[0]:
            best = score, linker
    assert best is not None
    return best[1]


def _all(recogniser: Recogniser, pairs: Pairs) -> tuple[Tensor, Tensor]:
    seen, told = [], []
    for first in range(0, len(pairs), BATCH):
        places = list(range(first, min(first + BATCH, len(pairs))))
        images, targets = batch_of(pairs, places, torch.device("cpu"))
        seen.append(_seen(recogniser, images))
        told.append(targets)
    return torch.cat(seen), torch.cat(told)


def _seen(recogniser: Recogniser, images: Tensor) -> Tensor:
    device = next(iter(recogniser.buffers()), images).device
    with torch.no_grad():
        rows = [recogniser(part.to(device)).float().cpu() for part in images.split(BATCH)]  # type: ignore[no-untyped-call]
    return torch.cat(rows)

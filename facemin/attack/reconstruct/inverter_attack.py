"""Inverters as attacks: RecFace fitted on what an attacker holds, as long as there is time (rows T2 and T4)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import torch

from facemin.attack.contract import FEWEST_PAIRS, FitError, FittedReconstructor, needed, own_pairs
from facemin.attack.datasets import HeldPairs
from facemin.attack.features import BATCH
from facemin.attack.reconstruct.train_inverter import InverterTraining, train_inverter, train_key_inverter
from facemin.attack.training import Fitting, affordable_epochs

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from facemin.attack.budget import Budget
    from facemin.attack.contract import Knowledge, PublicFaces

SMALL = InverterTraining(width=16, fitting=Fitting(epochs=40))
"""What an audit trains on a CPU within its minutes."""

_PROTECTING = 0.4
"""Share of the time that goes to protecting faces to learn from."""


@dataclass(frozen=True, kw_only=True)
class InverterAttack:
    """Train an inverter, or a denoiser, on an attacker's own pairs.

    Args:
        reads: the key's "features" of an image, or the "image" itself.
        learns_from: "plain" faces on both sides (the paper's level 1), or "protected" images and their faces.
        settings: of the network and its training; its epochs are the most that are trained.

    Raises:
        ValueError: plain images read as they are, from which nothing is learnt.
    """

    reads: Literal["features", "image"] = "features"
    learns_from: Literal["plain", "protected"] = "plain"
    settings: InverterTraining = field(default=SMALL)

    def __post_init__(self) -> None:
        if (self.reads, self.learns_from) == ("image", "plain"):
            raise ValueError("reads, learns_from: expected features, or protected images, got plain images")

    def fit(self, knowledge: Knowledge, budget: Budget) -> FittedReconstructor:
        """See `facemin.attack.contract.Reconstructor`."""
        train: Callable[..., Callable[[Tensor], Tensor]] = train_inverter
        if self.reads == "features":
            train = partial(train_key_inverter, needed(knowledge.key, "the key"))
        public, validation = needed(knowledge.public, "plain faces of other people"), None
        if self.learns_from == "plain":
            if len(public.faces) < 2:
                raise FitError(f"it trains on at least 2 plain faces, {len(public.faces)} were given")
            pairs = HeldPairs(public.faces, public.faces)
        else:
            images, rows = own_pairs(knowledge, budget.part(_PROTECTING), fewest=FEWEST_PAIRS)
            pairs = HeldPairs(images, public.faces[rows])
        if knowledge.validation is not None:
            validation = self._validation(knowledge, knowledge.validation, budget)
        # a mirrored protected image is not what the mirrored face would have become
        fitting = replace(self.settings.fitting, seed=knowledge.seed, flip=self.learns_from == "plain")
        train = partial(train, compute=knowledge.compute)
        settings = replace(self.settings, fitting=fitting)
        epochs = affordable_epochs(
            lambda few, once: train(few, settings=replace(settings, fitting=once)), pairs, fitting, budget
        )
        settings = replace(settings, fitting=replace(fitting, epochs=max(1, epochs)))
        network = train(pairs, settings=settings, validation=validation, stop=lambda: budget.over)
        inverter = getattr(network, "inverter", None)
        name = "denoiser" if self.reads == "image" else "inverter"
        return FittedReconstructor(
            apply=partial(_applied, network),
            of_features=None if inverter is None else partial(_applied, inverter),
            words=f"{name} of {len(pairs)} {self.learns_from} pairs",
        )

    def _validation(self, knowledge: Knowledge, faces: PublicFaces, budget: Budget) -> HeldPairs:
        if self.learns_from == "plain":
            return HeldPairs(faces.faces, faces.faces)
        images, rows = needed(knowledge.protector, "the protection")(faces.faces, budget)
        return HeldPairs(images, faces.faces[rows])


def _applied(network: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    weights = getattr(network, "parameters", None)
    device = inputs.device if weights is None else next(weights()).device
    with torch.no_grad():
        return torch.cat([network(part.to(device)).cpu() for part in torch.split(inputs, BATCH)])

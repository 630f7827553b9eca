"""T4, a trained inverter: a network learns from pairs to turn protected faces back."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

import torch

from facemin.attack.datasets import ImagePairs
from facemin.attack.purify.denoiser import train_denoiser
from facemin.attack.reconstruct.train_inverter import InverterTraining, train_key_inverter
from facemin.attack.training import Fitting
from facemin.audit.attackers_data import split_people
from facemin.audit.result import RowResult
from facemin.audit.rows.reconstruction import judge_reconstructions
from facemin.audit.rows.t3_white_box import no_key, other_keys
from facemin.audit.sample_size import strongest

if TYPE_CHECKING:
    from collections.abc import Callable

    from facemin.attack.training import Pairs
    from facemin.audit.audit_inputs import Evidence
    from facemin.audit.budget import Budget

    Network = Callable[[torch.Tensor], torch.Tensor]

TITLE = "A trained inverter"
KNOWS = "the key, the protected image, and pairs of faces and what became of them"
FEWEST = 100
"""Faces below which nothing is learnt that a verdict could rest on."""

MOST_EPOCHS = 40
TRIAL = 64
"""Pairs that a first epoch is timed on."""

WIDTH = 16


def trained_inverter(evidence: Evidence, budget: Budget) -> RowResult:
    """Train an inverter on plain pairs (the paper's level 1), and two networks on protected ones, which it left out.

    One of those reads the key's features, the other, a denoiser, the image itself.
    """
    assert evidence.train is not None
    key, plain = evidence.keys[0], evidence.train
    split = split_people(plain.people, seed=evidence.seed)
    places = torch.arange(len(evidence.pairs.probes))
    hidden = evidence.protected[evidence.pairs.probes]
    faces = plain.faces
    by_key = partial(train_key_inverter, key)
    mirrored = ImagePairs(faces[split.learning], faces[split.learning])
    level_1 = _trained(by_key, mirrored, budget.part(0.3), seed=evidence.seed, flip=True)
    attacked = {f"inverter of {len(split.learning)} plain pairs": _images(level_1, hidden)}
    controls = {"the same, from the plain face": _images(level_1, evidence.originals[evidence.pairs.probes])}
    untested = ["Inverters of more pairs and longer training: use facemin.attack, on a GPU."]
    images, rows = evidence.training.protect(plain, evidence.keys, split.learning, budget.part(0.4), seed=evidence.seed)
    few = len(rows) < FEWEST
    if few:
        untested.append(f"The adaptive inverters: time was left to protect {len(rows)} faces, {FEWEST} are needed.")
    else:
        pairs = ImagePairs(images, faces[rows])
        for name, train, share in (("inverter", by_key, 0.5), ("denoiser", train_denoiser, 0.9)):
            adaptive = _trained(train, pairs, budget.part(share), seed=evidence.seed, flip=False)
            attacked[f"{name} of {len(rows)} protected pairs"] = _images(adaptive, hidden)
    judged = judge_reconstructions(attacked, controls, evidence, places)
    words = [f"Trained on up to {len(split.learning)} faces of people who are not in the audit.", judged.words]
    if few:
        words.append("No inverter was trained on protected faces, for time.")
    return RowResult(
        row="T4",
        title=TITLE,
        knows=KNOWS,
        outcome=strongest([judged.outcome, "cannot tell"]) if few else judged.outcome,
        verdict=" ".join(words),
        figures=judged.figures,
        tables=judged.tables,
        pictures=judged.pictures,
        untested=(*judged.untested, *untested, *other_keys(evidence)),
    )


def nothing_to_train_on(evidence: Evidence) -> str:
    """Why nothing can be trained; empty when something can."""
    have = 0 if evidence.train is None else len(evidence.train.faces)
    if have >= FEWEST:
        return no_key(evidence)
    return (
        f"It trains on plain faces of other people, at least {FEWEST}; {have} were given. Give them with --train, in "
        "one folder per person."
    )


def _trained(train: Callable[..., Network], pairs: Pairs, budget: Budget, *, seed: int, flip: bool) -> Network:
    """As many epochs as fit: the step falls to nothing over them, so their number is settled before."""
    settings = InverterTraining(width=WIDTH, fitting=Fitting(epochs=1, seed=seed, flip=flip, device="cpu"))
    began = perf_counter()
    train(_First(pairs, TRIAL), settings=settings)
    each = (perf_counter() - began) * len(pairs) / min(TRIAL, len(pairs))
    epochs = int(min(MOST_EPOCHS, max(1, budget.left / each)))
    fitting = replace(settings.fitting, epochs=epochs)
    return train(pairs, settings=replace(settings, fitting=fitting), stop=lambda: budget.over)


def _images(network: Network, images: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([network(part) for part in torch.split(images, TRIAL)])


class _First:
    """The first of some pairs."""

    def __init__(self, pairs: Pairs, most: int) -> None:
        self._pairs, self._most = pairs, most

    def __len__(self) -> int:
        return min(self._most, len(self._pairs))

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self._pairs[index]

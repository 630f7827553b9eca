"""T6, the secret: who is on a pseudonym, feature and image, with one's own secret, without one, and if it is stolen."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from facemin.attack.features import features_of
from facemin.attack.link.cross_matching import embed
from facemin.audit.figures import counted, entry, interval
from facemin.audit.inputs.attackers_data import ON_CPU
from facemin.audit.result import AuditRow, RowResult, Table
from facemin.audit.sample_size import classify_rate, strongest
from facemin.autograd.pixels import to_tensor, to_unit
from facemin.protection import OnePassProtector
from facemin.protection.contract import as_protected
from facemin.pseudonym import average_views, haar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from facemin.attack.budget import Budget
    from facemin.audit.inputs.audit_inputs import AuditInputs
    from facemin.audit.result import Figure
    from facemin.audit.sample_size import Outcome
    from facemin.keys.key import Key

    Rows = NDArray[np.float64]

ON_THE_SECRET = AuditRow(
    row="T6",
    title="One who attacks the secret",
    knows="the key, one upload of each person as a pseudonym, and one plain photo of each",
)
KEY = "the key"
FEWEST = 3
"""People among whom somebody can be looked for."""

CAUTION = (
    "Several uploads under one secret are linked to each other, and say how a person's photos vary; who has one photo "
    "and its own upload knows the account."
)
_FURTHER = "Several uploads of a person, known pairs and guessed secrets: use facemin.attack.secret."


def no_pseudonyms(evidence: AuditInputs) -> str:
    """Why pseudonyms cannot be attacked; empty when they can."""
    if not evidence.keys or evidence.keys[0].space is None:
        return "The key makes no pseudonyms: give one that has a space with --key."
    if evidence.people is None or len(torch.unique(evidence.pairs.people)) < FEWEST:
        return f"At least {FEWEST} people are needed, and whose each photo is: put them in a folder each."
    return ""


def secret(evidence: AuditInputs, budget: Budget) -> RowResult:
    """Look for each person's pseudonym, as a feature and as the image that is sent, among everybody's plain photos."""
    key, pairs = evidence.keys[0], evidence.pairs
    assert key.space is not None
    sent, held = (_embedded(key, evidence.originals[rows]) for rows in (pairs.probes, pairs.references))
    generator = np.random.default_rng(evidence.seed)
    turned = [haar(generator.bytes(32), key.space.dimension) for _ in sent]
    uploads = np.stack([rotation @ row for rotation, row in zip(turned, sent, strict=True)])
    hidden = _first(uploads, held, "with your secret")
    images = _on_images(evidence, uploads, held, turned, budget)
    found = [
        hidden,
        _first(sent, held, "without it"),
        _first(_turned_back(uploads, turned), held, "if it is stolen"),
        *images.figures,
    ]
    attempts = [hidden, *images.attempts]
    chance = 1 / len(held)
    outcome = strongest([_judged(figure, chance, cells=len(attempts)) for figure in attempts])
    words = "; ".join(f"{_name(figure)}, {interval(figure)}" for figure in found)
    own = " Each is its own photo's." if pairs.own else ""
    table = Table(
        caption="People found in one upload each",
        head=("a pseudonym", "found first"),
        rows=tuple((_name(figure), entry(figure)) for figure in found),
    )
    return ON_THE_SECRET.result(
        outcome,
        f"The nearest plain photo is the person's: {words}; a guess in 1 of {len(held)}.{own} {CAUTION}",
        figures=found,
        tables=[table],
        untested=[*images.untested, _FURTHER],
    )


class OnImages(NamedTuple):
    """What was found on the images that are sent, which of it are attempts and no controls, and what is missing."""

    figures: list[Figure]
    attempts: list[Figure]
    untested: list[str]


def _on_images(evidence: AuditInputs, uploads: Rows, held: Rows, turned: Sequence[Rows], budget: Budget) -> OnImages:
    """Look for people on the images that clients would send: the key, who has stolen the secret, other recognisers.

    Args:
        evidence: its first key has a space.
        uploads: pseudonyms, (N, D).
        held: the key's rows of everybody's plain photos, (N, D).
        turned: each pseudonym's rotation, N times (D, D).
        budget: of painting; see `_painted`.
    """
    key = evidence.keys[0]
    images, reason = _painted(key, uploads, budget, seed=evidence.seed)
    if images is None:
        return OnImages([], [], [reason])
    seen = features_of(key, images)[-1].flatten(1).double().numpy()
    hidden = _first(seen, held, "the image, with your secret")
    stolen = _first(_turned_back(seen, turned), held, "the image, if it is stolen")
    plain = evidence.originals[evidence.pairs.references]
    others = []
    for judge in evidence.panel.others:
        seen, known = (embed(judge.recogniser, faces).double().numpy() for faces in (images, plain))
        others.append(_first(seen, known, "the image", of=judge.name))
    late = len(uploads) - len(images)
    untested = [f"{late} of {len(uploads)} images: no time was left to make them."] if late else []
    return OnImages([hidden, stolen, *others], [hidden, *others], untested)


def _judged(figure: Figure, chance: float, *, cells: int) -> Outcome:
    """What a count of people found says beside guesses, of so many attempts."""
    assert figure.hits is not None
    bound = min(0.5, max(0.05, 3 * chance))
    return classify_rate(figure.hits, figure.n, bound=bound, chance=chance, cells=cells).outcome


def _name(figure: Figure) -> str:
    return figure.where if figure.of == KEY else f"{figure.where}, by {figure.of}"


def _turned_back(rows: Rows, turned: Sequence[Rows]) -> Rows:
    """Rows (K, D), each under the inverse of its own rotation; there may be fewer rows than rotations."""
    return np.stack([rotation.T @ row for rotation, row in zip(turned, rows, strict=False)])


def _painted(key: Key, uploads: Rows, budget: Budget, *, seed: int) -> tuple[Tensor | None, str]:
    """The first images, as many as there is time for, that clients would send, (K, 3, 112, 112); or why there are none.

    Args:
        key: with a space.
        uploads: what the images shall look like to it, (N, D).
        budget: one batch is made at least.
        seed: of their noise.
    """
    method = OnePassProtector()
    if method.file_for(key) is None:
        return None, "The images that are sent: no one-pass protector for the key's space is here."
    made: list[Tensor] = []
    for first in range(0, len(uploads), ON_CPU.batch):
        if made and budget.over:
            break
        targets = ((row.astype(np.float32),) for row in uploads[first : first + ON_CPU.batch])
        painted = sorted(method.aim(targets, [key], seed=seed, compute=ON_CPU), key=lambda done: done.index)
        for done in painted:
            pixels = as_protected(done, [key], method).pixels
            assert pixels is not None
            made.append(to_unit(to_tensor(pixels)))
    return torch.stack(made), ""


def _embedded(key: Key, faces: Tensor) -> Rows:
    """As a device embeds them: views averaged."""
    assert key.space is not None
    views = [faces, faces.flip(3)] if key.space.declaration.views == "face+mirror" else [faces]
    return average_views([features_of(key, view)[-1].flatten(1).double().numpy() for view in views])


def _first(uploads: Rows, held: Rows, where: str, *, of: str = KEY) -> Figure:
    """How many of uploads (K, D) lie nearest to their own person's row of those held, (N, D), K <= N."""
    scores = uploads @ held.T
    beaten = scores >= np.diag(scores)[:, None]
    # ties count against whoever looks, itself left out
    return counted(torch.from_numpy(beaten.sum(1) == 1), name="rank-1", of=of, where=where)

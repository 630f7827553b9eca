"""T6, the secret: what the key makes of a pseudonym, with a secret of one's own, without one, and if it is stolen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from facemin.attack.features import features_of
from facemin.audit.figures import counted, entry, interval
from facemin.audit.result import AuditRow, RowResult, Table
from facemin.audit.sample_size import classify_rate
from facemin.pseudonym import average_views, haar

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from facemin.attack.budget import Budget
    from facemin.audit.inputs.audit_inputs import AuditInputs
    from facemin.audit.result import Figure
    from facemin.keys.key import Key

    Rows = NDArray[np.float64]

ON_THE_SECRET = AuditRow(
    row="T6",
    title="One who attacks the secret",
    knows="the key, one upload of each person as a pseudonym, and one plain photo of each",
)
FEWEST = 3
"""People among whom somebody can be looked for."""

CAUTION = (
    "Several uploads under one secret are linked to each other, and say how a person's photos vary; who has one photo "
    "and its own upload knows the account."
)


def no_pseudonyms(evidence: AuditInputs) -> str:
    """Why pseudonyms cannot be attacked; empty when they can."""
    if not evidence.keys or evidence.keys[0].space is None:
        return "The key makes no pseudonyms: give one that has a space with --key."
    if evidence.people is None or len(torch.unique(evidence.pairs.people)) < FEWEST:
        return f"At least {FEWEST} people are needed, and whose each photo is: put them in a folder each."
    return ""


def secret(evidence: AuditInputs, budget: Budget) -> RowResult:
    """Look for each person's pseudonym, as a feature, among everybody's plain photos."""
    del budget
    key, pairs = evidence.keys[0], evidence.pairs
    assert key.space is not None
    sent, held = (_embedded(key, evidence.originals[rows]) for rows in (pairs.probes, pairs.references))
    generator = np.random.default_rng(evidence.seed)
    turned = [haar(generator.bytes(32), key.space.dimension) for _ in sent]
    uploads = np.stack([rotation @ row for rotation, row in zip(turned, sent, strict=True)])
    back = np.stack([rotation.T @ row for rotation, row in zip(turned, uploads, strict=True)])
    found = {
        "with your secret": _first(uploads, held, "with your secret"),
        "without it": _first(sent, held, "without it"),
        "if it is stolen": _first(back, held, "if it is stolen"),
    }
    chance = 1 / len(held)
    with_secret = found["with your secret"]
    assert with_secret.hits is not None
    outcome = classify_rate(
        with_secret.hits, with_secret.n, bound=min(0.5, max(0.05, 3 * chance)), chance=chance
    ).outcome
    words = "; ".join(f"{where}, {interval(figure)}" for where, figure in found.items())
    own = " Each is its own photo's." if pairs.own else ""
    table = Table(
        caption="People found by the key in one upload each",
        head=("a pseudonym", "found first"),
        rows=tuple((where, entry(figure)) for where, figure in found.items()),
    )
    return ON_THE_SECRET.result(
        outcome,
        f"The key's nearest plain photo is the person's: {words}; a guess in 1 of {len(held)}.{own} {CAUTION}",
        figures=found.values(),
        tables=[table],
        untested=("Several uploads of a person, known pairs and guessed secrets: use facemin.attack.secret.",),
    )


def _embedded(key: Key, faces: Tensor) -> Rows:
    """As a device embeds them: views averaged."""
    assert key.space is not None
    views = [faces, faces.flip(3)] if key.space.declaration.views == "face+mirror" else [faces]
    return average_views([features_of(key, view)[-1].flatten(1).double().numpy() for view in views])


def _first(uploads: Rows, held: Rows, where: str) -> Figure:
    scores = uploads @ held.T
    beaten = scores >= np.diag(scores)[:, None]
    # ties count against the key, itself left out
    return counted(torch.from_numpy(beaten.sum(1) == 1), name="rank-1", of="the key", where=where)

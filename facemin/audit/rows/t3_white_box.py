"""T3, a white box: an image is optimised until the key sees in it what it sees in the protected one."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

import torch

from facemin.attack.features import features_of
from facemin.attack.reconstruct.white_box import WhiteBox
from facemin.audit.result import RowResult
from facemin.audit.rows.reconstruction import judge_reconstructions

if TYPE_CHECKING:
    from facemin.audit.audit_inputs import Evidence
    from facemin.audit.budget import Budget

TITLE = "A white box"
KNOWS = "the protected image and the key"
STEPS, FEWEST_STEPS = 400, 60
TRIAL_STEPS = 4
MOST_FACES = 128
"""More than a zero needs to be called bounded (73)."""


def no_key(evidence: Evidence) -> str:
    """Why there is nothing to attack with; empty when there is a key."""
    return "" if evidence.keys else "No key was given: give it with --key."


def other_keys(evidence: Evidence) -> list[str]:
    """What rows that hold a key leave out: they attack with the first one."""
    first, *more = evidence.keys
    names = ", ".join(key.manifest.key_id for key in more)
    return [f"The other keys, {names}: {first.manifest.key_id} alone was used."] if more else []


def white_box(evidence: Evidence, budget: Budget) -> RowResult:
    """Reconstruct faces from protected ones with the key in hand, as many and as long as time allows."""
    key = evidence.keys[0]
    rows = evidence.pairs.probes
    trial = min(len(rows), 2)
    features = features_of(key, evidence.protected[rows[:trial]])[-1]
    WhiteBox(steps=1, device="cpu")(key, features)
    began = perf_counter()
    WhiteBox(steps=TRIAL_STEPS, device="cpu")(key, features)
    # a lone face is computed as two
    each = (perf_counter() - began) / (TRIAL_STEPS * max(trial, 2))
    # half of the time goes to the same attack on plain faces, without which its failure would say nothing
    affordable = 0.45 * budget.left / each
    faces = max(1, min(len(rows), MOST_FACES, int(affordable / STEPS)))
    steps = int(min(STEPS, max(FEWEST_STEPS, affordable / max(faces, 2))))
    places = torch.arange(faces)
    attack = WhiteBox(steps=steps, seed=evidence.seed, device="cpu")
    made = {
        kind: attack(key, features_of(key, images[rows[places]])[-1]).images
        for kind, images in (("protected", evidence.protected), ("plain", evidence.originals))
    }
    judged = judge_reconstructions(
        {"white box, from the protected face": made["protected"]},
        {"white box, from the plain face": made["plain"]},
        evidence,
        places,
    )
    untested = list(judged.untested)
    if faces < len(rows):
        reason = f"at most {MOST_FACES} are attacked" if faces == MOST_FACES else "for time"
        untested.append(f"{len(rows) - faces} of {len(rows)} faces, {reason}.")
    if steps < STEPS:
        untested.append(f"The full {STEPS} steps: time was left for {steps}.")
    untested += other_keys(evidence)
    untested.append("Restarts, an untrained network as a prior, and generators of faces: use facemin.attack.")
    return RowResult(
        row="T3",
        title=TITLE,
        knows=KNOWS,
        outcome=judged.outcome,
        verdict=f"{steps} steps on {faces} face{'s' * (faces > 1)}. {judged.words}",
        figures=judged.figures,
        tables=judged.tables,
        pictures=judged.pictures,
        untested=tuple(untested),
    )

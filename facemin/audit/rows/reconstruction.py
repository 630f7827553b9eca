"""T3 and T4, a white box and a trained inverter: reconstruction by the registry's attacks, and its judgement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from facemin.audit.figures import FEWEST_FOR_A_MEAN, averaged, entry
from facemin.audit.inputs.attackers_data import knowledge_of
from facemin.audit.result import AuditRow, Figure, Grid, Line, RowResult, Table
from facemin.audit.rows.fitted import fitted, other_keys
from facemin.audit.rows.identity import recognised, worst_trial
from facemin.audit.sample_size import Outcome, strongest
from facemin.audit.similarity import FLOOR, closeness, floors, similarities, similarity_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from facemin.attack.budget import Budget
    from facemin.audit.inputs.audit_inputs import AuditInputs

SHOWN = 6


WHITE_BOX = AuditRow(row="T3", title="A white box", knows="the protected image and the key")
INVERTER = AuditRow(
    row="T4",
    title="A trained inverter",
    knows="the key, the protected image, and pairs of faces and what became of them",
)


def white_box(evidence: AuditInputs, budget: Budget) -> RowResult:
    """Reconstruct faces from protected ones with the key in hand, as many and as long as time allows."""
    more = "Restarts, an untrained network as a prior, and generators of faces: use facemin.attack."
    return _reconstruct(WHITE_BOX, evidence, budget, untested=more)


def trained_inverter(evidence: AuditInputs, budget: Budget) -> RowResult:
    """Train inverters on plain pairs (the paper's level 1), and on protected ones, which it left out."""
    more = "Inverters of more pairs and longer training: use facemin.attack, on a GPU."
    return _reconstruct(INVERTER, evidence, budget, untested=more)


def _reconstruct(tested: AuditRow, evidence: AuditInputs, budget: Budget, *, untested: str) -> RowResult:
    """Run every reconstructor that the registry has for a row, on protected faces and, as a control, on plain ones.

    An attack made for the protection, from pairs with a protected side, has no control: on plain faces it does nothing.
    """
    rows = evidence.pairs.probes
    attacked: dict[str, Tensor] = {}
    controls: dict[str, Tensor] = {}
    left_out: list[str] = []
    failed: list[str] = []
    assert tested.row is not None
    for one in fitted(tested.row, "reconstructor", knowledge_of(evidence), budget):
        if one.made is None:
            failed.append(one.reason)
            continue
        made: Any = one.made
        count = min(len(rows), made.most or len(rows))
        name = made.words
        attacked[name] = made.apply(evidence.protected[rows[:count]])
        if not one.attack.adversary.adaptive:
            controls[f"{name}, from the plain face"] = made.apply(evidence.originals[rows[:count]])
        left_out += made.untested
        if count < len(rows):
            left_out.append(f"{len(rows) - count} of {len(rows)} faces by the {name}, for time.")
    if not attacked:
        return tested.result("not tested", " ".join(failed))
    fewest = min(map(len, attacked.values()))
    first, plain = ({name: images[:fewest] for name, images in some.items()} for some in (attacked, controls))
    judged = judge_reconstructions(first, plain, evidence, torch.arange(fewest))
    tried = "; ".join(attacked)
    words = [f"Tried on {fewest} face{'s' * (fewest > 1)}: {tried}.", judged.words]
    if failed:
        words.append("Not every attack of this row could be fitted.")
    return tested.result(
        strongest([judged.outcome, "cannot tell"]) if failed else judged.outcome,
        " ".join(words),
        figures=judged.figures,
        tables=judged.tables,
        pictures=judged.pictures,
        untested=(*judged.untested, *left_out, *failed, untested, *other_keys(evidence)),
    )


class ReconstructionVerdict(NamedTuple):
    """What reconstructions show."""

    outcome: Outcome
    words: str
    figures: tuple[Figure, ...]
    tables: tuple[Table, ...]
    pictures: tuple[Grid, ...]
    untested: tuple[str, ...]


def judge_reconstructions(
    attacked: Mapping[str, Tensor], controls: Mapping[str, Tensor], evidence: AuditInputs, places: Tensor
) -> ReconstructionVerdict:
    """Judge reconstructions by their likeness and by every recogniser here.

    Args:
        attacked: images (K, 3, 112, 112) made of protected faces, by what made them.
        controls: the same attacks on unprotected faces: what they can do at all.
        evidence: holds the plain faces.
        places: which of the evidence's pairs they were made from, (K,).
    """
    rows = evidence.pairs.probes[places]
    empty, absent = floors(evidence, rows)
    figures: list[Figure] = []
    for name, images in {**attacked, **controls}.items():
        figures += similarities(images, evidence, rows, of=name)
    for floor in empty:
        figures += similarities(floor.images, evidence, rows, of=FLOOR + floor.name)
    table = similarity_table(figures)
    others, own = evidence.panel.judges, tuple(one for one in evidence.panel.authorised if one.at is not None)
    everything = {**attacked, **controls}
    judged = {
        name: recognised(images, evidence, others, places=places, where=name) for name, images in everything.items()
    }
    asked = {
        name: recognised(images, evidence, own, places=places, where=name)[0] for name, images in everything.items()
    }
    found = {name: judged[name][0] + asked[name] for name in everything}
    counting = [trial for name in attacked for trial in judged[name][1]]
    outcome, text = worst_trial(counting, "combinations of other recogniser, reconstruction and threshold")
    outcomes: list[Outcome] = [outcome]
    words = [text] if text else []
    highest = max(empty, key=lambda floor: float(closeness(floor.images, evidence, rows).mean()))
    floor_values = closeness(highest.images, evidence, rows)
    best = max(attacked, key=lambda name: float(closeness(attacked[name], evidence, rows).mean()))
    values = closeness(attacked[best], evidence, rows)
    gap = averaged(values - floor_values, name="gap", of="", where="")
    words.append(
        f"Its SSIM with the photo is {float(values.mean()):.2f}; the floor {highest.name} has "
        f"{float(floor_values.mean()):.2f}."
    )
    if _above(gap):
        outcomes.append("leak")
        words.append("It shows more of the face than a picture that knows nobody.")
    settled = strongest(outcomes)
    works = any(
        _above(averaged(closeness(images, evidence, rows) - floor_values, name="gap", of="", where=""))
        or worst_trial(judged[name][1], "")[0] == "leak"
        for name, images in controls.items()
    )
    if settled != "leak" and not works:
        settled = "cannot tell"
        words.append(
            "The same attack on plain faces brought back nothing measurable either, in this time and on so many faces: "
            "that it failed here says little."
        )
    untested = list(absent)
    if not others:
        untested.append("Whether other recognisers recognise the reconstruction: none is here.")
    pictures = [("photo", evidence.originals), ("protected", evidence.protected)]
    grid = [(title, images[rows[:SHOWN]]) for title, images in pictures]
    grid += [(title, images[:SHOWN]) for title, images in everything.items()]
    return ReconstructionVerdict(
        outcome="look" if settled == "not tested" else settled,
        words=" ".join(words),
        figures=(*figures, *(figure for each in found.values() for figure in each)),
        tables=(table, _recognised_table(found)),
        pictures=(Grid(caption="Reconstructions", rows=tuple(grid)),),
        untested=tuple(untested),
    )


def _above(gap: Figure) -> bool:
    """Whether images are measurably more like the photos than the floor is."""
    return gap.n >= FEWEST_FOR_A_MEAN and gap.low > 0


def _recognised_table(found: Mapping[str, list[Figure]]) -> Table:
    names = list(dict.fromkeys(figure.of for each in found.values() for figure in each))
    rows: list[Line] = []
    for what, each in found.items():
        by = {figure.of: figure for figure in each if figure.name == "TAR" and figure.where == what}
        rows.append((what, *(entry(by.get(name), digits=2) for name in names)))
    return Table(caption="Reconstructions taken for the person", head=("image", *names), rows=tuple(rows))

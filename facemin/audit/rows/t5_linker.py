"""T5, a linker: who is on the protected face, from the key alone, or from pairs of protected faces and identities."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import torch

from facemin.audit.figures import counted, entry
from facemin.audit.inputs.attackers_data import knowledge_of, split_faces
from facemin.audit.result import AuditRow, Figure, Line, RowResult, Table
from facemin.audit.rows.fitted import fitted, nothing_to_train_on, other_keys
from facemin.audit.rows.identity import Trial, trial, trials, worst_trial
from facemin.metrics import cross_identity_threshold

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from facemin.attack.budget import Budget
    from facemin.attack.contract import FittedLinker, PublicFaces
    from facemin.audit.inputs.audit_inputs import AuditInputs

    Embed = Callable[[Tensor], Tensor]

LINKER = AuditRow(
    row="T5",
    title="A linker",
    knows="the key alone; or pairs of protected images and identities",
)
CAUTION = (
    "Whoever holds the provider's whole recogniser, or a deep enough key, can recognise people: that is what they are "
    "for. So this row cannot be zero; it says how far the key alone goes."
)


def nothing_to_link_by(evidence: AuditInputs) -> str:
    """Why no linker can be trained; empty when one can."""
    reason = nothing_to_train_on(evidence)
    return f"{reason} {CAUTION}" if reason else ""


def linker(evidence: AuditInputs, budget: Budget) -> RowResult:
    """Make recognisers of a downloaded key, and of protected pairs, and link the audited people with them."""
    assert evidence.train is not None
    _, held = split_faces(evidence.train, seed=evidence.seed)
    untested: list[str] = []
    found: list[LinkageScores] = []
    for one in fitted("T5", "linker", knowledge_of(evidence, teacher=True), budget):
        if one.made is None:
            untested.append(one.reason)
            continue
        found += _linked(cast("FittedLinker", one.made), evidence, held, adaptive=one.attack.adversary.adaptive)
    counting = [each for one in found for each in one.counting]
    outcome, text = worst_trial(counting, "combinations of linker, threshold and ranking")
    if not any(each.figure.name == "TAR" for each in counting):
        untested.append(f"Accept rates at FAR {evidence.far:g}: they take more pairs of different people.")
    words = [CAUTION]
    if text:
        words += [evidence.pairs.words, text]
    figures = [figure for one in found for figure in one.figures]
    untested.append("Linkers trained on more people, and heads of more layers: use facemin.attack, on a GPU.")
    return LINKER.result(
        "cannot tell" if outcome == "not tested" else outcome,
        " ".join(words),
        figures=figures,
        tables=[_table(figures)],
        untested=(*untested, *other_keys(evidence)),
    )


class LinkageScores(NamedTuple):
    """What a linker scored: all figures, and the trials that count."""

    figures: list[Figure]
    counting: list[Trial]


class Gallery(NamedTuple):
    """PublicFaces second photos as somebody embeds them, and where that somebody accepts plain faces held out."""

    references: Tensor
    threshold: float | None


def _gallery(embed: Embed, evidence: AuditInputs, held: PublicFaces) -> Gallery:
    people = held.people
    enough = len(torch.unique(people)) > 1
    at = cross_identity_threshold(embed(held.faces), people, far=evidence.far) if enough else None
    return Gallery(
        references=embed(evidence.originals[evidence.pairs.references]),
        threshold=at.threshold if at is not None and at.meaningful else None,
    )


def _linked(linker: FittedLinker, evidence: AuditInputs, held: PublicFaces, *, adaptive: bool) -> list[LinkageScores]:
    """Protected probes, and, of a linker made for any image, plain ones to compare with, against plain references."""
    gallery = _gallery(linker.gallery, evidence, held)
    probes = ("protected",) if adaptive or evidence.pairs.own else ("plain", "protected")
    return [_scored(linker.apply, gallery, evidence, of=linker.words, probe=probe) for probe in probes]


def _scored(embed: Embed, gallery: Gallery, evidence: AuditInputs, *, of: str, probe: str) -> LinkageScores:
    """Accept rates at the threshold of plain faces held out and at that of these very impostors, and rank one."""
    pairs = evidence.pairs
    faces = evidence.protected if probe == "protected" else evidence.originals
    rows = embed(faces[pairs.probes])
    scores = (rows @ gallery.references.T).double()
    where = f"{probe} probe"
    figures, counting = trials(
        *(scores.diagonal(), scores[pairs.people[:, None] != pairs.people]),
        threshold=gallery.threshold,
        far=evidence.far,
        of=of,
        where=where,
    )
    if len(rows) > 1:
        nearest = scores.argmax(1) == torch.arange(len(rows))
        figure = counted(nearest, name="rank-1", of=of, where=where)
        figures.append(figure)
        counting.append(trial(figure, nearest, chance=1 / len(rows)))
    return LinkageScores(figures, counting if probe == "protected" else [])


def _table(figures: list[Figure]) -> Table:
    names = list(dict.fromkeys((figure.name, figure.where) for figure in figures))
    found = {(figure.of, figure.name, figure.where): figure for figure in figures}
    rows: list[Line] = [
        (of, *(entry(found.get((of, *name))) for name in names)) for of in dict.fromkeys(one.of for one in figures)
    ]
    return Table(
        caption="People linked, against a gallery of plain faces",
        head=("linker", *(f"{name}, {where}" for name, where in names)),
        rows=tuple(rows),
    )

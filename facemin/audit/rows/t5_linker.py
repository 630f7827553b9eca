"""T5, a linker: who is on the protected face, from the key alone, or from pairs of protected faces and identities."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch.nn.functional import normalize

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
    knows="the key alone; or plain faces of other people; or pairs of protected images and identities",
)
ONE, SEVERAL, BOTH = "protected probe", "several protected photos", "both protected"
"""What is compared: a protected photo, or all but one of a person put together, with a plain photo; or two of them."""
FEWEST_PEOPLE = 2
"""People among whom somebody can be recognised."""
CAPTIONS = {
    ONE: "People linked, against a gallery of plain faces",
    SEVERAL: "The same, all protected photos of a person but the gallery's put together",
    BOTH: "Two protected photos of a person against each other, no plain one in hand",
}
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
    outcome, text = worst_trial(counting, "combinations of linker, side, threshold and ranking")
    if not any(each.figure.name == "TAR" for each in counting):
        untested.append(f"Accept rates at FAR {evidence.far:g}: they take more pairs of different people.")
    if len(evidence.pairs.probes) < FEWEST_PEOPLE:
        untested.append("Recognising among people: that takes a second person, with photos in a folder of their own.")
    if evidence.pairs.own:
        untested.append("Protected photos against each other: that takes a second photo of a person.")
    elif not _several(evidence):
        untested.append("Several protected photos of a person put together: that takes a third photo of somebody.")
    words = [CAUTION]
    if text:
        words += [evidence.pairs.words, text]
    figures = [figure for one in found for figure in one.figures]
    untested.append("Linkers trained on more people, and heads of more layers: use facemin.attack, on a GPU.")
    return LINKER.result(
        "cannot tell" if outcome == "not tested" else outcome,
        " ".join(words),
        figures=figures,
        tables=[_table(caption, part) for side, caption in CAPTIONS.items() if (part := _of_side(figures, side))],
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
    """Protected probes against plain references, and plain probes unless the linker learnt from protected pairs.

    Where people have further photos, protected ones are compared with each other too, and several are put together.
    """
    pairs, of = evidence.pairs, linker.words
    gallery = _gallery(linker.gallery, evidence, held)
    rows = linker.apply(evidence.protected)
    found = [_scored(rows[pairs.probes], gallery, evidence, of=of, where=ONE)]
    if not (adaptive or pairs.own):
        # a control, which is no attempt on anybody; apply may take away what protected images share
        plain = _scored(linker.gallery(evidence.originals[pairs.probes]), gallery, evidence, of=of, where="plain probe")
        found.insert(0, plain._replace(counting=[]))
    if several := _several(evidence):
        together = torch.stack([normalize(rows[of_one].mean(0), dim=0) for of_one in several.values()])
        found.append(_scored(together, gallery, evidence, of=of, where=SEVERAL, places=torch.tensor([*several])))
    if not pairs.own:
        # a threshold of plain faces says nothing of two protected ones
        second = Gallery(references=rows[pairs.references], threshold=None)
        found.append(_scored(rows[pairs.probes], second, evidence, of=of, where=BOTH))
    return found


def _several(evidence: AuditInputs) -> dict[int, Tensor]:
    """Rows of all photos but the reference, of each pair, by its place, whose person has at least two of them."""
    pairs, people = evidence.pairs, evidence.people
    if people is None or pairs.own:
        return {}
    every = torch.arange(len(people))
    rows = {
        place: every[(people == person) & (every != reference)]
        for place, (person, reference) in enumerate(zip(pairs.people, pairs.references, strict=True))
    }
    return {place: of_one for place, of_one in rows.items() if len(of_one) > 1}


def _scored(
    rows: Tensor, gallery: Gallery, evidence: AuditInputs, *, of: str, where: str, places: Tensor | None = None
) -> LinkageScores:
    """Accept rates at the threshold of plain faces held out and at that of these very impostors, and rank one.

    Args:
        rows: of the probes, (K, D), of unit length.
        gallery: of every pair's person, (P, D), in their order.
        evidence: says who they are.
        of: the linker.
        where: what is compared.
        places: of which pairs the probes are, (K,); of all in order when None.
    """
    people = evidence.pairs.people
    every = torch.arange(len(people))
    places = every if places is None else places
    scores = (rows @ gallery.references.T).double()
    figures, counting = trials(
        *(scores[places[:, None] == every], scores[people[places][:, None] != people]),
        threshold=gallery.threshold,
        far=evidence.far,
        of=of,
        where=where,
    )
    if len(people) >= FEWEST_PEOPLE:
        nearest = scores.argmax(1) == places
        figure = counted(nearest, name="rank-1", of=of, where=where)
        figures.append(figure)
        counting.append(trial(figure, nearest, chance=1 / len(people)))
    # flags of everybody, so that attempts on some people can be told together with those on all
    hit = torch.zeros(len(people), dtype=torch.bool)
    return LinkageScores(figures, [one._replace(flags=hit.index_put((places,), one.flags)) for one in counting])


def _of_side(figures: list[Figure], side: str) -> list[Figure]:
    """Figures of one side's table; plain probes stand beside protected ones."""
    beside = ("plain probe", ONE) if side == ONE else (side,)
    return [figure for figure in figures if figure.where.startswith(beside)]


def _table(caption: str, figures: list[Figure]) -> Table:
    names = list(dict.fromkeys((figure.name, figure.where) for figure in figures))
    found = {(figure.of, figure.name, figure.where): figure for figure in figures}
    rows: list[Line] = [
        (of, *(entry(found.get((of, *name))) for name in names)) for of in dict.fromkeys(one.of for one in figures)
    ]
    return Table(
        caption=caption,
        head=("linker", *(f"{name}, {where}" for name, where in names)),
        rows=tuple(rows),
    )

"""Identification by other recognisers: the shared part of rows T1 to T5."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from facemin.attack.link.cross_matching import CELLS, CrossMatching, Faces, Match, MatchingJudge, embed, worst
from facemin.audit.figures import counted, entry, interval
from facemin.audit.result import Figure, Line, Table
from facemin.audit.sample_size import Outcome, classify_rate, strongest
from facemin.metrics import binomial_tail, exceedance_tail, threshold_at_far, wilson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from facemin.attack.budget import Budget
    from facemin.attack.purify.registry import Purifier
    from facemin.audit.inputs.audit_inputs import AuditInputs, Judge

EVERYBODY = 10
"""A recogniser that accepts different people so many times more often than it should recognises nobody."""

FEWEST_IMPOSTORS = 20
"""Fewer pairs of different people give no threshold."""

STRANGERS = 200
"""Other people's plain faces that protected ones are compared with, to see whether a recogniser takes anybody."""

TITLES = {
    ("protected", "plain"): "protected probe, plain gallery",
    ("plain", "protected"): "plain probe, protected gallery",
    ("protected", "protected"): "both protected",
}


class Identity(NamedTuple):
    """What other recognisers scored."""

    matches: tuple[Match, ...]
    unreached: tuple[str, ...]
    """Purifiers that no time was left for."""


class Trial(NamedTuple):
    """Hits of one attempt, and what chance gives."""

    figure: Figure
    p: float
    """Probability of so many hits or more by chance."""
    flags: Tensor
    """Who was hit, (N,) bool; false of those whom it was not tried on."""


class IdentityVerdict(NamedTuple):
    """What the worst of all attempts says."""

    outcome: Outcome
    words: str
    figures: tuple[Figure, ...]


def match_all(evidence: AuditInputs, purifiers: Mapping[str, Purifier], budget: Budget) -> Identity:
    """Match the evidence's pairs at every other recogniser, purifier after purifier, until time runs out."""
    pairs = evidence.pairs
    plain, hidden = evidence.originals, evidence.protected
    probes = Faces(plain[pairs.probes], hidden[pairs.probes])
    # against its own photo, a protected reference would be the probe itself
    gallery = Faces(plain[pairs.references], None if pairs.own else hidden[pairs.references])
    judges = {
        one.name: MatchingJudge(one.recogniser, one.at.threshold) for one in evidence.panel.judges if one.at is not None
    }
    found: list[Match] = []
    tried: list[str] = []
    strangers = None if evidence.train is None else evidence.train.faces[:STRANGERS]
    attack = CrossMatching(purifiers=purifiers)
    for one in attack(judges, probes=probes, gallery=gallery, people=pairs.people, strangers=strangers):
        late = budget.over and one.purifier not in tried and "protected" in (one.probe, one.gallery)
        # the first purifier is always finished: a row that ran says something
        if late and tried:
            break
        if "protected" in (one.probe, one.gallery) and one.purifier not in tried:
            tried.append(one.purifier)
        found.append(one)
    return Identity(tuple(found), tuple(name for name in purifiers if name not in tried))


def trial(figure: Figure, flags: Tensor, *, chance: float) -> Trial:
    """An attempt whose hits are independent, each of probability `chance` where there is nothing to find."""
    return Trial(figure, binomial_tail(figure.hits or 0, figure.n, chance), flags)


def trials(
    genuine: Tensor, impostor: Tensor, *, threshold: float | None, far: float, of: str, where: str
) -> tuple[list[Figure], list[Trial]]:
    """Accepted shares at a recogniser's own threshold, and at one measured on these very impostors.

    Images that are not faces may all look alike to a recogniser: then it takes everybody for everybody at its own
    threshold, which links nobody, and only the other one counts. It may also score them all lower.

    Args:
        genuine: cosines of images with their own people's references, (N,).
        impostor: with other people's, (M,); M may be 0.
        threshold: of plain faces; None where none could be measured.
        far: false accept rate that it stands for.
        of: the recogniser.
        where: the condition.

    Returns:
        All figures, and those that count, with the chance of a hit.
    """
    figures: list[Figure] = []
    counting: list[Trial] = []
    everybody = False
    if threshold is not None:
        own = counted(genuine >= threshold, name="TAR", of=of, where=where)
        figures.append(own)
        if len(impostor):
            false = counted(impostor >= threshold, name="FAR", of=of, where=where)
            figures.append(false)
            everybody = false.low > EVERYBODY * far
        if not everybody:
            # it may take protected strangers for one another more often than the plain faces it was set on
            rate = wilson(int((impostor >= threshold).sum()), len(impostor)).high if len(impostor) * far >= 1 else far
            counting.append(trial(own, genuine >= threshold, chance=max(far, rate)))
    if len(impostor) * far >= 1 or (everybody and len(impostor) >= FEWEST_IMPOSTORS):
        at = threshold_at_far(impostor, far=far)
        again = counted(genuine >= at.threshold, name="TAR", of=of, where=f"{where}, threshold of these images")
        figures.append(again)
        p = exceedance_tail(
            again.hits or 0, again.n, admitted=int((impostor >= at.threshold).sum()), impostors=len(impostor)
        )
        counting.append(Trial(again, p, genuine >= at.threshold))
    return figures, counting


def judged(identity: Identity, evidence: AuditInputs) -> IdentityVerdict:
    """The verdict of the worst of all recognisers, purifiers, sides and thresholds."""
    figures: list[Figure] = []
    counting: list[Trial] = []
    for one in identity.matches:
        attacked = "protected" in (one.probe, one.gallery)
        found, counts = trials(
            *(one.genuine, one.impostor),
            threshold=one.threshold,
            far=evidence.far,
            of=one.recogniser,
            where=_where(one),
        )
        figures += found if attacked else found[:1]
        counting += counts if attacked else []
    outcome, words = worst_trial(counting, "combinations of recogniser, purifier, side and threshold")
    return IdentityVerdict(outcome, words, tuple(figures))


def worst_trial(counting: Sequence[Trial], what: str) -> tuple[Outcome, str]:
    """What the worst of some attempts says, in words; "not tested" of none."""
    if not counting:
        return "not tested", ""
    settled = [
        (classify_rate(one.figure.hits or 0, one.figure.n, p=one.p, cells=len(counting)), one.figure)
        for one in counting
    ]
    # fewer people than others have can show a leak, but bound nothing, and make nothing that more bound uncertain
    most = max(figure.n for _, figure in settled)
    settled = [each for each in settled if each[1].n == most or each[0].outcome == "leak"]
    outcome = strongest([one.outcome for one, _ in settled])
    verdict, top = max((each for each in settled if each[0].outcome == outcome), key=lambda each: each[1].value)
    words = f"The worst of {len(counting)} {what} accepted {interval(top)}: {top.of}, {top.where}."
    if verdict.more:
        words += f" {missing(verdict.more, top)}"
    elif outcome == "leak":
        words += " Chance does not explain that."
    return outcome, words + _together(counting, top)


def _together(counting: Sequence[Trial], top: Figure) -> str:
    """Who was hit in any of the attempts, where that are more people than in the worst."""
    if len({len(one.flags) for one in counting}) > 1:
        return ""
    anywhere = counted(torch.stack([one.flags for one in counting]).any(0), name="any", of="", where="")
    if anywhere.hits == top.hits:
        return ""
    return f" At least one of them accepted {interval(anywhere)}, which at chance, too, is more than the worst."


def missing(more: int, top: Figure) -> str:
    """What is missing to say that at most one of twenty is hit."""
    rest = "with no hit" if top.hits == 0 else "with no further hit"
    pairs = "1 pair" if top.n == 1 else f"{top.n} pairs"
    return f"{pairs} cannot tell whether that is at most one person of twenty: it takes {more} more {rest}."


def raw_table(identity: Identity, judges: Sequence[Judge]) -> Table:
    """One row a recogniser, one column a cell, unpurified."""
    found = {(one.recogniser, one.probe, one.gallery): one for one in identity.matches if one.purifier == "none"}
    cells = [cell for cell in CELLS if any((one.name, *cell) in found for one in judges)]
    head = ("recogniser", "both plain", *(TITLES[cell] for cell in cells), "different people accepted", "threshold")
    rows: list[Line] = []
    for one in judges:
        clean = found.get((one.name, "plain", "plain"))
        first = found.get((one.name, "protected", "plain"))
        strangers = None if first is None else counted(first.false, name="FAR", of=one.name, where="")
        rows.append(
            (
                one.name,
                entry(_figure(clean)),
                *(entry(_figure(found.get((one.name, *cell)))) for cell in cells),
                entry(strangers),
                f"{one.at.threshold:.3f}" if one.at else "",
            )
        )
    return Table(caption="Accepted as the person, raw", head=head, rows=tuple(rows))


def purified_table(identity: Identity, judges: Sequence[Judge]) -> Table:
    """One row a recogniser, one column a purifier: the worst of the cells."""
    names = list(dict.fromkeys(one.purifier for one in identity.matches if (one.probe, one.gallery) in CELLS))
    rows: list[Line] = []
    for judge in judges:
        entries = []
        for name in names:
            cells = [
                one
                for one in identity.matches
                if one.recogniser == judge.name and one.purifier == name and (one.probe, one.gallery) in CELLS
            ]
            entries.append(entry(_figure(worst(cells)), digits=2))
        rows.append((judge.name, *entries))
    return Table(
        caption="Accepted as the person behind each purifier, the worst of the sides",
        head=("recogniser", *names),
        rows=tuple(rows),
    )


def recognised(
    images: Tensor, evidence: AuditInputs, judges: Sequence[Judge], *, places: Tensor, where: str
) -> tuple[list[Figure], list[Trial]]:
    """How often each recogniser takes images for the people they were made from.

    Args:
        images: reconstructions, (K, 3, 112, 112) in [0, 1].
        evidence: holds the plain references.
        judges: recognisers with a threshold.
        places: which of the evidence's pairs the images were made from, (K,).
        where: what the images are.
    """
    references = evidence.originals[evidence.pairs.references[places]]
    people = evidence.pairs.people[places]
    different = people[:, None] != people
    figures: list[Figure] = []
    counting: list[Trial] = []
    for one in judges:
        if one.at is not None:
            scores = (embed(one.recogniser, images) @ embed(one.recogniser, references).T).double()
            found, counts = trials(
                *(scores.diagonal(), scores[different]),
                threshold=one.at.threshold,
                far=one.at.far,
                of=one.name,
                where=where,
            )
            figures += found
            counting += counts
    return figures, counting


def _where(one: Match) -> str:
    return f"{one.probe}, {one.gallery}" + ("" if one.purifier == "none" else f", {one.purifier}")


def _figure(one: Match | None) -> Figure | None:
    return None if one is None else counted(one.accepted, name="TAR", of=one.recogniser, where=_where(one))

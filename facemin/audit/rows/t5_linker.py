"""T5, a linker: who is on the protected face, from the key alone, or from pairs of protected faces and identities."""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import torch

from facemin.attack.link.key_linker import FEWEST_TO_TRAIN, KeyLinking, train_key_linker
from facemin.attack.link.ridge_linker import train_ridge_linker
from facemin.attack.link.student import StudentTraining, TaughtPairs, teach, train_student
from facemin.attack.training import Fitting
from facemin.audit.attackers_data import split_people
from facemin.audit.figures import counted, entry
from facemin.audit.result import Figure, Line, RowResult, Table
from facemin.audit.rows.identity import Trial, trial, trials, worst_trial
from facemin.audit.rows.t3_white_box import other_keys
from facemin.audit.rows.t4_inverter import FEWEST, nothing_to_train_on
from facemin.metrics import cross_identity_threshold

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from facemin.audit.audit_inputs import Evidence
    from facemin.audit.budget import Budget
    from facemin.models import Recogniser

    Linker = Callable[[Tensor], Tensor]

TITLE = "A linker"
KNOWS = "the key alone; or pairs of protected images and identities"
FEWEST_STUDENTS = 200
"""Protected pairs below which no student is trained."""

MOST_TO_CHOOSE_BY = 200
"""Faces that teachers are compared on."""

CAUTION = (
    "Whoever holds the provider's whole recogniser, or a deep enough key, can recognise people: that is what they are "
    "for. So this row cannot be zero; it says how far the key alone goes."
)


def nothing_to_link_by(evidence: Evidence) -> str:
    """Why no linker can be trained; empty when one can."""
    reason = nothing_to_train_on(evidence)
    return f"{reason} {CAUTION}" if reason else ""


def linker(evidence: Evidence, budget: Budget) -> RowResult:
    """Make recognisers of a downloaded key, and of protected pairs, and link the audited people with them."""
    assert evidence.train is not None
    key, plain = evidence.keys[0], evidence.train
    split = split_people(plain.people, seed=evidence.seed)
    held = plain.faces[split.held_out], plain.people[split.held_out]
    learning = plain.faces[split.learning], plain.people[split.learning]
    untested: list[str] = []
    # nothing is trained, so a few faces serve for all
    bare = train_key_linker(key, *(part[:FEWEST_TO_TRAIN] for part in learning), settings=KeyLinking(head="none"))
    found = _linked(bare, evidence, held, of="the key's features as they are")
    trained = train_key_linker(key, *learning)
    found += _linked(trained, evidence, held, of=f"the key alone, a head of {len(split.learning)} plain faces")
    found += _adaptive(evidence, split.learning, held, budget, untested)
    counting = [each for one in found for each in one.counting]
    outcome, text = worst_trial(counting, "combinations of linker, threshold and ranking")
    if not any(each.figure.name == "TAR" for each in counting):
        untested.append(f"Accept rates at FAR {evidence.far:g}: they take more pairs of different people.")
    words = [CAUTION]
    if text:
        words += [evidence.pairs.words, text]
    figures = [figure for one in found for figure in one.figures]
    untested.append("Linkers trained on more people, and heads of more layers: use facemin.attack, on a GPU.")
    return RowResult(
        row="T5",
        title=TITLE,
        knows=KNOWS,
        outcome="cannot tell" if outcome == "not tested" else outcome,
        verdict=" ".join(words),
        figures=tuple(figures),
        tables=(_table(figures),),
        untested=(*untested, *other_keys(evidence)),
    )


def _adaptive(
    evidence: Evidence, learning: Tensor, held: tuple[Tensor, Tensor], budget: Budget, untested: list[str]
) -> list[Linked]:
    """A linear map and a student, both from the attacker's own protected faces and an ordinary recogniser."""
    assert evidence.train is not None
    if not evidence.others:
        untested.append(
            "Linkers trained on protected faces: they need another recogniser as a teacher, and none is here."
        )
        return []
    teacher = _best_teacher([one.recogniser for one in evidence.others], held, far=evidence.far)
    images, rows = evidence.training.protect(
        evidence.train, evidence.keys, learning, budget.part(0.5), seed=evidence.seed
    )
    if len(rows) < FEWEST:
        untested.append(
            f"Linkers trained on protected faces: time was left to protect {len(rows)}, {FEWEST} are needed."
        )
        return []
    taught = TaughtPairs(images, teach(teacher, evidence.train.faces[rows]))
    gallery = _gallery(partial(teach, teacher), evidence, held)
    straight = train_ridge_linker(teacher, taught)
    found = [_scored(straight, gallery, evidence, of=f"linear map of {teacher.name}, {len(rows)} pairs")]
    if len(rows) < FEWEST_STUDENTS:
        untested.append(f"FaceLinkGen's student: {len(rows)} protected pairs were made, {FEWEST_STUDENTS} are needed.")
        return found
    settings = StudentTraining(fitting=Fitting(epochs=1, batch=32, rate=1e-3, seed=evidence.seed, device="cpu"))
    began = perf_counter()
    train_student(TaughtPairs(images[:32], taught.embeddings[:32]), teacher=teacher, settings=settings)
    epochs = int(budget.left / ((perf_counter() - began) * len(rows) / 32))
    if epochs < 1:
        untested.append("FaceLinkGen's student: no time was left to train it.")
        return found
    fitting = Fitting(epochs=min(epochs, 20), batch=32, rate=1e-3, seed=evidence.seed, device="cpu")
    student = train_student(
        taught, teacher=teacher, settings=StudentTraining(fitting=fitting), stop=lambda: budget.over
    )
    return [*found, _scored(student, gallery, evidence, of=f"student of {teacher.name}, {len(rows)} pairs")]


def _best_teacher(recognisers: list[Recogniser], held: tuple[Tensor, Tensor], *, far: float) -> Recogniser:
    """The one that recognises most of the attacker's own people; the first where that cannot be told."""
    faces, people = held[0][:MOST_TO_CHOOSE_BY], held[1][:MOST_TO_CHOOSE_BY]
    same = (people[:, None] == people).triu(1)
    if len(recognisers) == 1 or not same.any() or len(torch.unique(people)) == 1:
        return recognisers[0]

    def found(recogniser: Recogniser) -> float:
        rows = teach(recogniser, faces)
        at = cross_identity_threshold(rows, people, far=far)
        return float(((rows @ rows.T)[same] >= at.threshold).double().mean())

    return max(recognisers, key=found)


class Linked(NamedTuple):
    """What a linker scored: all figures, and the trials that count."""

    figures: list[Figure]
    counting: list[Trial]


class Gallery(NamedTuple):
    """Plain second photos as somebody embeds them, and where that somebody accepts plain faces held out."""

    references: Tensor
    threshold: float | None


def _gallery(embed: Linker, evidence: Evidence, held: tuple[Tensor, Tensor]) -> Gallery:
    faces, people = held
    at = cross_identity_threshold(embed(faces), people, far=evidence.far) if len(torch.unique(people)) > 1 else None
    return Gallery(
        references=embed(evidence.originals[evidence.pairs.references]),
        threshold=at.threshold if at is not None and at.meaningful else None,
    )


def _linked(linker: Linker, evidence: Evidence, held: tuple[Tensor, Tensor], *, of: str) -> list[Linked]:
    """Protected probes, and plain ones to compare with, against a gallery of plain faces as the linker sees them."""
    gallery = _gallery(linker, evidence, held)
    probes = ("protected",) if evidence.pairs.own else ("plain", "protected")
    return [_scored(linker, gallery, evidence, of=of, probe=probe) for probe in probes]


def _scored(linker: Linker, gallery: Gallery, evidence: Evidence, *, of: str, probe: str = "protected") -> Linked:
    """Accept rates at the threshold of plain faces held out and at that of these very impostors, and rank one."""
    pairs = evidence.pairs
    faces = evidence.protected if probe == "protected" else evidence.originals
    rows = linker(faces[pairs.probes])
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
    return Linked(figures, counting if probe == "protected" else [])


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

"""T5, a linker: who is on the protected face, from the key alone, or from pairs of protected faces and identities."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

import torch

from facemin.attack.fitting import Fitting
from facemin.attack.key_linker import train_key_linker
from facemin.attack.ridge_linker import train_ridge_linker
from facemin.attack.student import StudentTraining, TaughtPairs, teach, train_student
from facemin.audit.attackers_data import HELD_OUT, split_people
from facemin.audit.counting import counted, entry, interval
from facemin.audit.identity import missing
from facemin.audit.result import Figure, Line, RowResult, Table
from facemin.audit.sample_size import settle
from facemin.audit.t4_inverter import FEWEST, nothing_to_train_on
from facemin.metrics import cross_identity_threshold, pair_scores

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from facemin.audit.budget import Budget
    from facemin.audit.evidence import Evidence
    from facemin.keys import Key
    from facemin.models import Recogniser

    Linker = Callable[[Tensor], Tensor]

TITLE = "A linker"
KNOWS = "the key alone; or pairs of protected images and identities"
FEWEST_STUDENTS = 200
"""Protected pairs below which no student is trained."""

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
    untested: list[str] = []
    key_only = train_key_linker(key, plain.faces[split.learning], plain.people[split.learning])
    figures = _linked(key_only, evidence, held, of=f"the key alone, a head of {len(split.learning)} plain faces")
    figures += _adaptive(evidence, key, split.learning, held, budget, untested)
    shares = [figure for figure in figures if figure.name == "TAR" and "protected" in figure.where]
    if not shares:
        untested.append(
            f"Accept rates at FAR {evidence.far:g}: the {len(held[0])} faces kept for thresholds make too few pairs of "
            f"different people. One person of {HELD_OUT} in --train is kept for them."
        )
    ranks = [figure for figure in figures if figure.name == "rank-1" and "protected" in figure.where]
    top = max(shares or ranks, key=lambda figure: figure.value, default=None)
    words = [CAUTION]
    outcome = settle(0, 1).outcome
    if top is not None and top.hits is not None:
        pairs = evidence.pairs
        chance = evidence.far if shares else 1 / len(pairs.probes)
        settled = settle(top.hits, top.n, chance=chance, cells=len(shares or ranks))
        outcome = settled.outcome
        words.append(f"{pairs.words} The best linker recognised {interval(top)} ({top.of}; {top.name}).")
        words += [missing(settled.more, top)] if settled.more else []
    untested.append("Linkers trained on more people, and heads of more layers: use facemin.attack, on a GPU.")
    return RowResult(
        row="T5",
        title=TITLE,
        knows=KNOWS,
        outcome=outcome,
        verdict=" ".join(words),
        figures=tuple(figures),
        tables=(_table(figures),),
        untested=tuple(untested),
    )


def _adaptive(
    evidence: Evidence,
    key: Key,
    learning: Tensor,
    held: tuple[Tensor, Tensor],
    budget: Budget,
    untested: list[str],
) -> list[Figure]:
    """A linear map and a student, both from the attacker's own protected faces and an ordinary recogniser."""
    assert evidence.train is not None
    teacher = next((one.recogniser for one in evidence.others), None)
    if teacher is None:
        untested.append(
            "Linkers trained on protected faces: they need another recogniser as a teacher, and none is here."
        )
        return []
    images, rows = evidence.training.protect(evidence.train, key, learning, budget.part(0.5), seed=evidence.seed)
    if len(rows) < FEWEST:
        untested.append(
            f"Linkers trained on protected faces: time was left to protect {len(rows)}, {FEWEST} are needed."
        )
        return []
    taught = TaughtPairs(images, teach(teacher, evidence.train.faces[rows]))
    straight = train_ridge_linker(teacher, taught)
    found = _adaptive_linked(straight, teacher, evidence, held, of=f"linear map of {teacher.name}, {len(rows)} pairs")
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
    return found + _adaptive_linked(
        student, teacher, evidence, held, of=f"student of {teacher.name}, {len(rows)} pairs"
    )


def _linked(linker: Linker, evidence: Evidence, held: tuple[Tensor, Tensor], *, of: str) -> list[Figure]:
    """Accept rates at the linker's own threshold, and rank-1, with plain faces in the gallery."""
    return _scored(linker, linker, evidence, held, of=of, probes=("plain", "protected"))


def _adaptive_linked(
    linker: Linker, teacher: Recogniser, evidence: Evidence, held: tuple[Tensor, Tensor], *, of: str
) -> list[Figure]:
    """The same with the teacher's own gallery of plain faces."""

    def gallery(images: Tensor) -> Tensor:
        return teach(teacher, images)

    return _scored(linker, gallery, evidence, held, of=of, probes=("protected",))


def _scored(
    linker: Linker,
    gallery: Linker,
    evidence: Evidence,
    held: tuple[Tensor, Tensor],
    *,
    of: str,
    probes: tuple[str, ...],
) -> list[Figure]:
    pairs = evidence.pairs
    references = gallery(evidence.originals[pairs.references])
    found = []
    people = torch.unique(held[1])
    at = cross_identity_threshold(gallery(held[0]), held[1], far=evidence.far) if len(people) > 1 else None
    for kind in probes:
        if kind == "plain" and pairs.own:
            continue
        faces = evidence.protected if kind == "protected" else evidence.originals
        rows = linker(faces[pairs.probes])
        where = f"{kind} probe, plain gallery"
        if at is not None and at.meaningful:
            flags = pair_scores(rows, references) >= at.threshold
            found.append(counted(flags, name="TAR", of=of, where=where))
        if len(rows) > 1:
            nearest = (rows @ references.T).argmax(1) == torch.arange(len(rows))
            found.append(counted(nearest, name="rank-1", of=of, where=where))
    return found


def _table(figures: list[Figure]) -> Table:
    names = list(dict.fromkeys((figure.name, figure.where) for figure in figures))
    found = {(figure.of, figure.name, figure.where): figure for figure in figures}
    rows: list[Line] = [
        (of, *(entry(found.get((of, *name))) for name in names)) for of in dict.fromkeys(one.of for one in figures)
    ]
    return Table(
        caption="People linked, at each linker's own threshold and by the nearest in the gallery",
        head=("linker", *(f"{name}, {where}" for name, where in names)),
        rows=tuple(rows),
    )

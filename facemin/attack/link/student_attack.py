"""Students as attacks: FaceLinkGen fitted on what an attacker holds, as long as there is time (row T5)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from facemin.attack.contract import FitError, FittedLinker, needed, own_pairs
from facemin.attack.datasets import HeldPairs
from facemin.attack.link.student import StudentTraining, teach, train_student
from facemin.attack.training import Fitting, affordable_epochs

if TYPE_CHECKING:
    from facemin.attack.budget import Budget
    from facemin.attack.contract import Knowledge, PublicFaces

FEWEST_STUDENTS = 200
"""Protected pairs below which no student is trained."""

SMALL = Fitting(epochs=20, batch=32, rate=1e-3)
"""What an audit trains on a CPU within its minutes."""

_PROTECTING = 0.5


@dataclass(frozen=True, kw_only=True)
class StudentAttack:
    """Train a student to see in an image whom a teacher saw on the plain face.

    Args:
        learns_from: "protected" images, or "plain" faces, which only a student on a key's features can use.
        settings: of the student and its training; its epochs are the most that are trained.
    """

    learns_from: Literal["plain", "protected"] = "protected"
    settings: StudentTraining = field(default_factory=lambda: StudentTraining(fitting=SMALL))

    def fit(self, knowledge: Knowledge, budget: Budget) -> FittedLinker:
        """See `facemin.attack.contract.Linker`."""
        recognisers = needed(knowledge.recognisers, "another recogniser as a teacher")
        key = needed(knowledge.key, "the key") if self.settings.body == "key" else None
        public = needed(knowledge.public, "plain faces of other people")
        teacher, start = recognisers[0], recognisers[-1]
        images, faces = public.faces, public.faces
        if self.learns_from == "protected":
            images, rows = own_pairs(knowledge, budget.part(_PROTECTING), fewest=FEWEST_STUDENTS)
            faces = public.faces[rows]
        pairs = HeldPairs(images, teach(teacher, faces))
        validation = None if knowledge.validation is None else self._validation(knowledge, knowledge.validation, budget)
        fitting = replace(self.settings.fitting, seed=knowledge.seed)
        train = partial(train_student, teacher=start, key=key, compute=knowledge.compute)
        epochs = affordable_epochs(
            lambda few, once: train(few, settings=replace(self.settings, fitting=once)), pairs, fitting, budget
        )
        if epochs < 1:
            raise FitError("no time was left to train it")
        settings = replace(self.settings, fitting=replace(fitting, epochs=epochs))
        student = train(pairs, settings=settings, validation=validation, stop=lambda: budget.over)
        body = {"recogniser": "student", "scratch": "student from nothing", "key": "student on the key's features"}
        return FittedLinker(
            apply=student,
            gallery=partial(teach, teacher),
            words=f"{body[self.settings.body]} of {teacher.name}, {len(pairs)} {self.learns_from} pairs",
            trained_on=len(pairs),
        )

    def _validation(self, knowledge: Knowledge, faces: PublicFaces, budget: Budget) -> HeldPairs:
        teacher = knowledge.recognisers[0]
        if self.learns_from == "plain":
            return HeldPairs(faces.faces, teach(teacher, faces.faces))
        images, rows = needed(knowledge.protector, "the protection")(faces.faces, budget)
        return HeldPairs(images, teach(teacher, faces.faces[rows]))

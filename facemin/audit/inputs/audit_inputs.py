"""Inputs of an audit: faces, plain and protected, identities, keys and judges."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch

from facemin.attack.contract import PublicFaces
from facemin.audit.inputs.attackers_data import TrainingPairs

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.attack.attributes.estimators import Estimator
    from facemin.evaluation.networks import Distance
    from facemin.keys.key import Key
    from facemin.models import Recogniser


class Operating(NamedTuple):
    """A recogniser's threshold, and what it was measured on, in words."""

    threshold: float
    far: float
    source: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Judge:
    """A recogniser that judges.

    Attributes:
        name: of it.
        recogniser: itself.
        at: where it accepts; None where no threshold could be had.
        missing: why not.
    """

    name: str
    recogniser: Recogniser
    at: Operating | None
    missing: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """What judges protected faces.

    Attributes:
        authorised: recognisers of the keys' providers, as far as they are here.
        others: every other recogniser that is here.
        estimators: of attributes.
        distance: a perceptual distance.
        untested: what could not be had, and why.
    """

    authorised: tuple[Judge, ...] = ()
    others: tuple[Judge, ...] = ()
    estimators: tuple[Estimator, ...] = ()
    distance: Distance | None = None
    untested: tuple[str, ...] = ()

    @property
    def judges(self) -> tuple[Judge, ...]:
        """Other recognisers that have a threshold."""
        return tuple(one for one in self.others if one.at is not None)


class Pairs(NamedTuple):
    """Which face is checked against which.

    Attributes:
        probes: rows of the evidence, (P,) int64.
        references: of the same people, (P,).
        people: (P,) integers; all the same where nobody knows who is who, so that no pair counts as an impostor's.
        own: whether a reference is the probe's own photo.
    """

    probes: Tensor
    references: Tensor
    people: Tensor
    own: bool

    @property
    def words(self) -> str:
        """What is compared, as a sentence."""
        if self.own:
            return "Each protected face is compared with its own photo, for there is no other photo of the person."
        return "Each protected face is compared with another photo of the same person, one pair a person."


@dataclass(frozen=True, kw_only=True, eq=False)
class Faces:
    """Aligned faces, plain and protected.

    Attributes:
        names: of the faces, as the person knows them.
        originals: (N, 3, 112, 112), RGB in [0, 1], aligned, N >= 1.
        protected: of the same faces, read back from their files.
        people: whose they are, (N,) integers; None where nobody knows.
        remarks: how the images were read, for the page.
        untested: what could not be had at all, and why.
        left_out: photos, or protected images, among it that were given and could not be audited.
        pairs: which of them are compared.

    Raises:
        ValueError: no face, or tensors of other shapes.
    """

    names: tuple[str, ...]
    originals: Tensor
    protected: Tensor
    people: Tensor | None = None
    remarks: tuple[str, ...] = ()
    untested: tuple[str, ...] = ()
    left_out: int = 0
    pairs: Pairs = field(init=False)

    def __post_init__(self) -> None:
        n = len(self.names)
        shapes = tuple(self.originals.shape), tuple(self.protected.shape)
        if n < 1 or shapes != ((n, 3, 112, 112),) * 2:
            raise ValueError(f"originals, protected: expected ({n}, 3, 112, 112) with at least one face, got {shapes}")
        if self.people is not None and self.people.shape != (n,):
            raise ValueError(f"people: expected ({n},), got {tuple(self.people.shape)}")
        object.__setattr__(self, "pairs", _pairs(self.people, n))


@dataclass(frozen=True, kw_only=True, eq=False)
class AuditInputs(Faces):
    """All that the rows work on: the faces, and what is known and judged by.

    Attributes:
        keys: that they were protected for.
        panel: what judges them.
        train: plain faces of people who are not among the above.
        far: false accept rate at which recognisers judge.
        seed: of whatever is drawn.
        training: what attackers who train have protected so far.
    """

    keys: tuple[Key, ...] = ()
    panel: Panel = field(default_factory=Panel)
    train: PublicFaces | None = None
    far: float = 1e-3
    seed: int = 0
    training: TrainingPairs = field(default_factory=TrainingPairs)

    @property
    def strangers(self) -> PublicFaces | None:
        """PublicFaces faces that are not those of a given person: the training people's, else the audited ones'."""
        if self.train is not None:
            return self.train
        return None if self.people is None else PublicFaces(self.originals, self.people)


def _pairs(people: Tensor | None, n: int) -> Pairs:
    """The first two photos of each person who has two; where nobody has, each face with its own photo."""
    rows = torch.arange(n)
    if people is None:
        return Pairs(rows, rows, torch.zeros(n, dtype=torch.int64), own=True)
    firsts, seconds = [], []
    for person in torch.unique(people).tolist():
        of = (people == person).nonzero()[:, 0]
        if len(of) > 1:
            firsts.append(int(of[0]))
            seconds.append(int(of[1]))
    if not firsts:
        return Pairs(rows, rows, people, own=True)
    probes = torch.tensor(firsts)
    return Pairs(probes, torch.tensor(seconds), people[probes], own=False)

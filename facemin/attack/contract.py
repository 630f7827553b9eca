"""Attacker knowledge, and the protocols of attacks: reconstructor, linker, prober.

Every attack declares its row of the threat model and what it holds, and every table repeats them. Nothing is handed to
an attack but a `Knowledge` of parts that may each be missing, and a `Budget`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeVar, get_args

from facemin.runtime.compute import DEFAULT_COMPUTE

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from facemin.attack.budget import Budget
    from facemin.keys.key import Key
    from facemin.models import Recogniser
    from facemin.runtime.compute import Compute

Row = Literal["T0", "T1", "T2", "T3", "T4", "T5", "T6"]
"""A row of the threat model: an eye; an off-the-shelf model; the same behind a purifier; a white box; a trained
inverter; a linker; one who attacks a secret."""

Holding = Literal[
    "protected image",
    "protected feature",
    "key",
    "public faces",
    "purifiers",
    "pairs of feature and face",
    "pairs of protected feature and face",
    "pairs of protected image and face",
    "pairs of protected image and identity",
    "pairs of protected image and attribute",
    "recogniser",
    "class weights",
    "embedding",
    "class scores",
    "mask",
    "masked face",
    "many mixes of one face",
    "weights of the mixes",
    "pairs of masked face and face",
]
"""What an adversary may hold. A pair with a protected side makes the attack adaptive."""


@dataclass(frozen=True, kw_only=True)
class Adversary:
    """A row of the threat model and what is known there.

    Args:
        row: of the threat model.
        knows: what is held, at least one thing; the first is what is attacked.

    Raises:
        ValueError: an unknown row or knowledge, or none.
    """

    row: Row
    knows: tuple[Holding, ...]

    def __post_init__(self) -> None:
        if self.row not in get_args(Row):
            raise ValueError(f"row: expected one of {', '.join(get_args(Row))}, got {self.row!r}")
        unknown = [item for item in self.knows if item not in get_args(Holding)]
        if unknown or not self.knows:
            raise ValueError(f"knows: expected some of {', '.join(get_args(Holding))}, got {unknown or 'none'}")

    @property
    def adaptive(self) -> bool:
        """Whether the attack was made for this protection, from pairs with a protected side."""
        return any(item.startswith("pairs of protected") for item in self.knows)

    @property
    def words(self) -> str:
        """Row and knowledge in one line, for tables."""
        return f"{self.row}: knows {', '.join(self.knows)}"


class PublicFaces(NamedTuple):
    """Plain faces of people who are not attacked, and whose they are.

    Attributes:
        faces: (M, 3, 112, 112), in [0, 1] or uint8.
        people: (M,) integers.
    """

    faces: Tensor
    people: Tensor


class OwnProtector(Protocol):
    """The protection as an attacker runs it on faces of their own."""

    def __call__(self, faces: Tensor, budget: Budget, /) -> tuple[Tensor, Tensor]:
        """Protect faces (M, 3, 112, 112) in their order, until time runs out.

        Returns:
            Images (K, 3, 112, 112), uint8 or in [0, 1], with 1 <= K <= M, and which rows they were made of, (K,).
        """


@dataclass(frozen=True, kw_only=True, eq=False)
class Knowledge:
    """What an attacker holds; each part may be missing, and an attack asks for those that it needs.

    Attributes:
        key: the provider's.
        protector: protects the attacker's own faces with it, by the method that the attacked images were made by.
        public: faces to train on.
        validation: of further people, to choose epochs and settings by, in the attacker's favour.
        recognisers: others than the provider's: the first teaches who is on a face, the last lends its weights.
        seed: of whatever an attack draws.
        compute: where it computes.
    """

    key: Key | None = None
    protector: OwnProtector | None = None
    public: PublicFaces | None = None
    validation: PublicFaces | None = None
    recognisers: tuple[Recogniser, ...] = ()
    seed: int = 0
    compute: Compute = DEFAULT_COMPUTE


class FitError(ValueError):
    """Too little was known, or too little time left, to fit an attack; the words say what is missing."""


_Part = TypeVar("_Part")


def needed(part: _Part | None, words: str) -> _Part:
    """A part of what an attacker knows.

    Args:
        part: itself.
        words: what it is, for the error.

    Raises:
        FitError: it is missing.
    """
    if part is None or part == ():
        raise FitError(f"it needs {words}, and none was given")
    return part


FEWEST_PAIRS = 100
"""Protected pairs below which nothing is learnt that a verdict could rest on."""


def own_pairs(knowledge: Knowledge, budget: Budget, *, fewest: int = FEWEST_PAIRS) -> tuple[Tensor, Tensor]:
    """The attacker's own faces, protected: images (K, 3, 112, 112), and the faces' rows (K,).

    Raises:
        FitError: no protector, no faces, or fewer pairs than `fewest` in this time.
    """
    protect = needed(knowledge.protector, "the protection, to protect faces of its own")
    images, rows = protect(needed(knowledge.public, "plain faces of other people").faces, budget)
    if len(rows) < fewest:
        raise FitError(f"time was left to protect {len(rows)} faces, {fewest} are needed")
    return images, rows


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedReconstructor:
    """A reconstruction attack, ready to run.

    Attributes:
        apply: protected images (N, 3, 112, 112) in [0, 1] to faces of the same shape and range.
        of_features: the same from a key's features at its cut, (N, *shape), where those are what it reads.
        words: what was fitted, for tables.
        most: images that time was found for; None where their number costs little.
        untested: what was left out, and why.
    """

    apply: Callable[[Tensor], Tensor]
    of_features: Callable[[Tensor], Tensor] | None = None
    words: str
    most: int | None = None
    untested: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedLinker:
    """A linkage attack, ready to run.

    Attributes:
        apply: protected images (N, 3, 112, 112) in [0, 1] to unit rows (N, D).
        gallery: plain faces (N, 3, 112, 112) in [0, 1] to unit rows in the same space.
        words: what was fitted, for tables.
        trained_on: faces or pairs that it was trained on.
        untested: what was left out, and why.
    """

    apply: Callable[[Tensor], Tensor]
    gallery: Callable[[Tensor], Tensor]
    words: str
    trained_on: int = 0
    untested: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedProber:
    """An attribute attack, ready to run.

    Attributes:
        apply: protected images (N, 3, 112, 112) in [0, 1], their classes (N,) and people (N,) to classes (N,), each
            predicted from other people's images alone.
        words: what of the images it reads, for tables.
    """

    apply: Callable[[Tensor, Tensor, Tensor], Tensor]
    words: str


class Reconstructor(Protocol):
    """An attack that brings faces back."""

    def fit(self, knowledge: Knowledge, budget: Budget, /) -> FittedReconstructor:
        """Make ready within a time.

        Raises:
            FitError: naming what is missing.
        """


class Linker(Protocol):
    """An attack that says who is on a protected image."""

    def fit(self, knowledge: Knowledge, budget: Budget, /) -> FittedLinker:
        """Make ready within a time.

        Raises:
            FitError: naming what is missing.
        """


class Prober(Protocol):
    """An attack that reads attributes from protected images."""

    def fit(self, knowledge: Knowledge, budget: Budget, /) -> FittedProber:
        """Make ready within a time.

        Raises:
            FitError: naming what is missing.
        """


Kind = Literal["reconstructor", "linker", "prober"]


@dataclass(frozen=True, kw_only=True)
class Attack:
    """An attack as the registry has it.

    Args:
        kind: which of the three protocols `method` follows.
        adversary: who makes it.
        method: its settings, and how it is fitted.
        words: what it does, in a line for tables.
        tried_in: row of an audit that tries it; the adversary's own when None.
        in_audit: whether an audit tries it at all, or only experiments do.
    """

    kind: Kind
    adversary: Adversary
    method: Reconstructor | Linker | Prober
    words: str
    tried_in: Row | None = None
    in_audit: bool = True

    @property
    def audit_row(self) -> Row | None:
        """Row of an audit that tries it; None where none does."""
        return (self.tried_in or self.adversary.row) if self.in_audit else None

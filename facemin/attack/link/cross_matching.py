"""Cross-matching (row T2): unauthorised recognisers on protected images, as probes and in the gallery."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, TypeAlias

import torch

from facemin.attack.contract import Adversary
from facemin.attack.purify.registry import PURIFIERS, Purifier
from facemin.metrics import pair_scores

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from torch import Tensor

    from facemin.models import Recogniser

BATCH = 32
Side = Literal["plain", "protected"]
CELLS: tuple[tuple[Side, Side], ...] = (("protected", "plain"), ("plain", "protected"), ("protected", "protected"))
"""Probe and gallery, where at least one of them is protected."""


Pair: TypeAlias = "tuple[Tensor | None, Tensor | None]"
"""Of the probes and of the gallery."""


class MatchingJudge(NamedTuple):
    """A recogniser whose key was not used, and its own threshold, a cosine measured on plain faces."""

    recogniser: Recogniser
    threshold: float


class Faces(NamedTuple):
    """The same faces, plain and protected, (N, 3, 112, 112) in [0, 1]; None where there are none of that kind."""

    plain: Tensor | None
    protected: Tensor | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Match:
    """What one recogniser scored in one of the four cells, behind one purifier.

    Attributes:
        recogniser: its name.
        probe: what was checked.
        gallery: what it was checked against.
        purifier: by its name in `PURIFIERS`; plain faces are never purified.
        genuine: cosine of each probe with its own person's reference, (N,) float64.
        impostor: cosines of probes with other people's references, (M,) float64; M may be 0.
        threshold: the recogniser's own, measured on plain faces.
    """

    recogniser: str
    probe: Side
    gallery: Side
    purifier: str
    genuine: Tensor
    impostor: Tensor
    threshold: float

    @property
    def accepted(self) -> Tensor:
        """Which probes are taken for their person, (N,) bool."""
        return self.genuine >= self.threshold

    @property
    def false(self) -> Tensor:
        """Which pairs of different people are taken for one, (M,) bool: where this is as high, nothing was linked."""
        return self.impostor >= self.threshold


@dataclass(frozen=True, kw_only=True)
class CrossMatching:
    """Verification by a recogniser whose key was not used: protected and plain, as probe and in the gallery.

    The plain-plain cell says what the recogniser can do at all. The protected-protected cell asks whether protected
    images link to one another: whoever collects them needs no plain photo then.

    Args:
        purifiers: by name; each is tried on all protected images of a cell.
    """

    adversary: ClassVar[Adversary] = Adversary(row="T2", knows=("protected image", "purifiers"))

    purifiers: Mapping[str, Purifier] = field(default_factory=lambda: PURIFIERS)

    def __call__(
        self,
        judges: Mapping[str, MatchingJudge],
        *,
        probes: Faces,
        gallery: Faces,
        people: Tensor,
        strangers: Tensor | None = None,
    ) -> Iterator[Match]:
        """Score every cell for which there are faces, purifier after purifier, so that a caller may stop in between.

        Args:
            judges: by name; left as they are.
            probes: N faces.
            gallery: N references; the i-th is of the i-th probe's person.
            people: (N,) integers; pairs of different ones are the impostors.
            strangers: plain faces of further people, (M, 3, 112, 112): with each protected face more impostors.

        Yields:
            Plain-plain of every judge first, then for each purifier and judge protected-plain, plain-protected and
            protected-protected.

        Raises:
            ValueError: numbers of faces differ.
        """
        _check(probes, gallery, people)
        different = people[:, None] != people
        plain = {name: _rows(judge, (probes.plain, gallery.plain)) for name, judge in judges.items()}
        for name, (probe, reference) in plain.items():
            if probe is not None and reference is not None:
                yield _match(name, judges[name], ("plain", "plain", "none"), probe, reference, different)
        further = {} if strangers is None else {name: embed(one.recogniser, strangers) for name, one in judges.items()}
        for purifier, purify in self.purifiers.items():
            hidden = _purified(purify, probes.protected), _purified(purify, gallery.protected)
            for name, judge in judges.items():
                rows: dict[Side, Pair] = {"plain": plain[name], "protected": _rows(judge, hidden)}
                for side, other in CELLS:
                    probe, reference = rows[side][0], rows[other][1]
                    if probe is not None and reference is not None:
                        more = _further(side, other, probe, reference, further.get(name))
                        yield _match(name, judge, (side, other, purifier), probe, reference, different, more)


def worst(matches: Iterable[Match]) -> Match | None:
    """The match that accepts most probes, of several the one with the highest mean cosine; None of none."""
    return max(matches, key=lambda one: (int(one.accepted.sum()), float(one.genuine.mean())), default=None)


def purified(purify: Purifier, images: Tensor) -> Tensor:
    """Images (N, 3, H, W) in [0, 1] behind a purifier, batch after batch, back in [0, 1]."""
    return torch.cat([purify(part).clamp(0, 1) for part in torch.split(images, BATCH)])


def embed(recogniser: Recogniser, faces: Tensor) -> Tensor:
    """Unit rows (N, D) float32 of faces (N, 3, 112, 112) in [0, 1], batch after batch."""
    with torch.inference_mode():
        return torch.cat([recogniser(part) for part in torch.split(faces, BATCH)])


def _purified(purify: Purifier, images: Tensor | None) -> Tensor | None:
    return None if images is None else purified(purify, images)


def _rows(judge: MatchingJudge, faces: Pair) -> Pair:
    probes, gallery = (None if one is None else embed(judge.recogniser, one) for one in faces)
    return probes, gallery


def _further(side: Side, other: Side, probe: Tensor, reference: Tensor, strangers: Tensor | None) -> Tensor | None:
    """Scores of the protected faces with strangers' plain ones, where the cell has one protected side."""
    if strangers is None or side == other:
        return None
    return ((probe if side == "protected" else reference) @ strangers.T).flatten()


def _match(
    name: str,
    judge: MatchingJudge,
    cell: tuple[Side, Side, str],
    probe: Tensor,
    reference: Tensor,
    different: Tensor,
    more: Tensor | None = None,
) -> Match:
    impostor = (probe @ reference.T)[different]
    return Match(
        recogniser=name,
        probe=cell[0],
        gallery=cell[1],
        purifier=cell[2],
        genuine=pair_scores(probe, reference),
        impostor=(impostor if more is None else torch.cat([impostor, more])).double(),
        threshold=judge.threshold,
    )


def _check(probes: Faces, gallery: Faces, people: Tensor) -> None:
    lengths = {len(side) for faces in (probes, gallery) for side in faces if side is not None}
    if lengths != {len(people)} or people.ndim != 1:
        raise ValueError(f"probes, gallery, people: expected as many of each, got {sorted(lengths)}, {len(people)}")

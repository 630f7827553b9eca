"""The key-only linker (row T5): a recogniser made of a downloaded key and plain public faces, no protected image.

A key shows of a protected image about what it shows of the face. So whoever holds one can pool what it shows and
train any head on plain faces; the deeper the cut, the better the recogniser that comes of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch.nn import functional as F

from facemin.attack.contract import FittedLinker, PublicFaces, needed
from facemin.attack.features import features_of
from facemin.attack.training import floating
from facemin.metrics import cross_identity_scores, cross_identity_threshold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from facemin.attack.budget import Budget
    from facemin.attack.contract import Knowledge
    from facemin.keys.key import Key

Head = Literal["none", "whitening", "discriminant", "best"]

MEMORY = 512
"""Faces whose maps are held at once."""

FEWEST_TO_TRAIN = 4
_FAR = 1e-3


@dataclass(frozen=True, kw_only=True)
class KeyLinking:
    """How a key-only linker is made.

    Args:
        grids: sides of the grids that each layer's maps are averaged to, one after another.
        components: principal components kept at most; half as many as there are faces are kept in any case.
        head: "none" compares the pooled features themselves; "whitening" uses no labels; "discriminant" whitens what
            differs within people; "best" takes the one that links more validation people at FAR 1e-3, and without
            such "discriminant" where somebody has two faces, else "whitening".
        ridges: shares of the mean variance that are added to the scatter within people, so that directions in which
            few faces say little are not blown up; the best on validation people is taken, the first without any.

    Raises:
        ValueError: a setting out of range.
    """

    grids: tuple[int, ...] = (4,)
    components: int = 256
    head: Head = "best"
    ridges: tuple[float, ...] = (0.3, 0.03, 0.1, 1.0, 3.0)

    def __post_init__(self) -> None:
        if not self.grids or min(self.grids) < 1 or self.components < 2:
            raise ValueError(f"grids, components: expected at least 1 and 2, got {self.grids}, {self.components}")
        if self.head not in get_args(Head):
            raise ValueError(f"head: expected one of {', '.join(get_args(Head))}, got {self.head!r}")
        if not self.ridges or min(self.ridges) <= 0:
            raise ValueError(f"ridges: expected shares above 0, got {self.ridges}")

    def fit(self, knowledge: Knowledge, budget: Budget) -> FittedLinker:
        """See `facemin.attack.contract.Linker`; it takes seconds, whatever the budget."""
        del budget
        key, public = needed(knowledge.key, "the key"), needed(knowledge.public, "plain faces of other people")
        if self.head == "none":
            # nothing is trained, so a few faces serve for all
            public = PublicFaces(*(part[:FEWEST_TO_TRAIN] for part in public))
        linker = train_key_linker(key, *public, settings=self, validation=knowledge.validation)
        trained_on = 0 if self.head == "none" else len(public.faces)
        words = "the key's features as they are"
        if trained_on:
            words = f"the key alone, a head of {trained_on} plain faces"
        return FittedLinker(apply=linker, gallery=linker, words=words, trained_on=trained_on)


@dataclass(frozen=True, kw_only=True, eq=False)
class KeyLinker:
    """Images (B, 3, 112, 112), plain or protected, to unit embeddings (B, D), by way of a key alone.

    Attributes:
        key: whose features are pooled.
        grids: see `KeyLinking`.
        centre: subtracted from the pooled features, (P,).
        matrix: applied after it, (P, D); None where they are compared as they are.
        head: which head this is, as chosen.
        validation: TAR at FAR 1e-3 on the validation people, by head; empty without such.
    """

    key: Key
    grids: tuple[int, ...]
    centre: Tensor
    matrix: Tensor | None
    head: str
    validation: dict[str, float]

    def __call__(self, images: Tensor) -> Tensor:
        """Embed images; on the CPU, float32."""
        return self.embed(pooled(self.key, images, self.grids))

    def embed(self, features: Tensor) -> Tensor:
        """Embed what `pooled` gives, (B, P)."""
        moved = features - self.centre
        return F.normalize(moved if self.matrix is None else moved @ self.matrix)


def pooled(key: Key, images: Tensor, grids: tuple[int, ...]) -> Tensor:
    """A key's maps averaged to small grids, signs of their roots kept, (B, P) float32 on the CPU.

    The root keeps a few strong places from deciding alone.

    Args:
        key: whose layers are pooled.
        images: (B, 3, 112, 112), in [0, 1] or uint8.
        grids: sides; a map that is smaller is taken as it is, a vector too.
    """
    found = []
    for part in images.split(MEMORY):  # type: ignore[no-untyped-call]
        columns = []
        for layer in features_of(key, floating(part)):
            values = layer.float().cpu()
            if values.dim() != 4:
                columns.append(values.flatten(1))
                continue
            for side in grids:
                fitting = min(side, *values.shape[2:])
                columns.append(F.adaptive_avg_pool2d(values, fitting).flatten(1))
        together = torch.cat(columns, 1)
        found.append(together.sign() * together.abs().sqrt())
    return torch.cat(found)


def train_key_linker(
    key: Key,
    faces: Tensor,
    people: Tensor,
    *,
    settings: KeyLinking | None = None,
    validation: tuple[Tensor, Tensor] | None = None,
) -> KeyLinker:
    """Train a key-only linker on plain faces; with head "none" there is nothing to train.

    A head that is best on plain faces need not be on protected ones: it may blow up directions in which little but the
    protection's noise lies. At a deep cut the features themselves link more, so measure "none" as well.

    Args:
        key: the downloaded key.
        faces: (N, 3, 112, 112), in [0, 1] or uint8, of other people than those who will be linked.
        people: who is on each, (N,) integers; without anybody twice only "whitening" can be made.
        settings: how.
        validation: other faces and their people, to choose head and ridge by.

    Raises:
        ValueError: too few faces, labels that do not fit, or a head that these cannot train.
    """
    settings = settings or KeyLinking()
    if people.shape != faces.shape[:1] or people.is_floating_point():
        raise ValueError(f"people: expected {len(faces)} integers, got {people.dtype} {tuple(people.shape)}")
    if len(faces) < FEWEST_TO_TRAIN:
        raise ValueError(f"faces: expected at least {FEWEST_TO_TRAIN} to train on, got {len(faces)}")
    if settings.head == "discriminant" and len(torch.unique(people)) == len(people):
        raise ValueError("people: expected somebody with two faces for head 'discriminant', got nobody")
    rows = pooled(key, faces, settings.grids).double()
    ridges = settings.ridges if validation is not None else settings.ridges[:1]
    made = {
        name: KeyLinker(
            key=key,
            grids=settings.grids,
            centre=centre.float(),
            matrix=None if matrix is None else matrix.float(),
            head=name,
            validation={},
        )
        for name, (centre, matrix) in _heads(rows, people, settings, ridges=ridges).items()
    }
    if validation is None:
        return next(iter(made.values()))
    held_out = pooled(key, validation[0], settings.grids)
    scores = {name: _linked(linker.embed(held_out), validation[1]) for name, linker in made.items()}
    best = max(scores, key=lambda name: scores[name])
    return replace(made[best], validation=scores)


def _heads(
    rows: Tensor, people: Tensor, settings: KeyLinking, *, ridges: Sequence[float]
) -> dict[str, tuple[Tensor, Tensor | None]]:
    """A centre and a matrix for every head that may be chosen; first the one that is taken unseen."""
    found: dict[str, tuple[Tensor, Tensor | None]] = {}
    if settings.head != "none":
        centre = rows.mean(0)
        projected, basis = _principal(rows - centre, min(settings.components, len(rows) // 2))
        if settings.head != "whitening" and len(torch.unique(people)) < len(people):
            for ridge in ridges:
                found[f"discriminant, ridge {ridge:g}"] = centre, basis @ _within(projected, people, ridge)
        if settings.head != "discriminant":
            found["whitening"] = centre, basis / projected.std(0)
    if settings.head in ("none", "best"):
        found["none"] = torch.zeros_like(rows[0]), None
    return found


def _principal(rows: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Centred rows (N, P) on their principal components: (N, K), and the basis (P, K)."""
    basis = torch.linalg.svd(rows, full_matrices=False).Vh[:most].T
    projected = rows @ basis
    told = projected.std(0) > 1e-9 * projected.std(0).max()
    return projected[:, told], basis[:, told]


def _within(rows: Tensor, people: Tensor, ridge: float) -> Tensor:
    """The matrix (K, K) after which faces of one person scatter alike in all directions.

    Source: Hatch, Kajarekar and Stolcke 2006 (within-class covariance normalisation); on components whose total
    scatter it leaves alone this is what a linear discriminant analysis rests on.
    """
    _, labels, counts = torch.unique(people, return_inverse=True, return_counts=True)
    means = torch.zeros(len(counts), rows.shape[1], dtype=rows.dtype).index_add(0, labels, rows) / counts[:, None]
    several = counts[labels] > 1
    apart = (rows - means[labels])[several]
    scatter = apart.T @ apart / max(int(several.sum()) - int((counts > 1).sum()), 1)
    scatter = scatter + ridge * scatter.diagonal().mean() * torch.eye(len(scatter), dtype=rows.dtype)
    root: Tensor = torch.linalg.cholesky(torch.linalg.inv(scatter))
    return root


def _linked(embeddings: Tensor, people: Tensor) -> float:
    """Share of genuine pairs above the threshold at FAR 1e-3; their mean score's distance decides between equals."""
    at = cross_identity_threshold(embeddings, people, far=_FAR)
    same = (people[:, None] == people[None]).triu(1)
    genuine = (embeddings @ embeddings.T)[same]
    if not len(genuine):
        raise ValueError("validation: expected somebody with two faces, got nobody")
    spread = cross_identity_scores(embeddings, people).std()
    return float((genuine >= at.threshold).double().mean()) + 1e-6 * float(genuine.mean() / spread)

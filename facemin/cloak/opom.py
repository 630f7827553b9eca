"""OPOM: one person-specific mask that moves every face of a person away from the person's features.

Source: Zhong and Deng, OPOM: Customized Invisible Cloak towards Face Privacy Protection, 2022 (TPAMI), and its code
(`zhongyy/OPOM`, MIT): gradients averaged over the person's photos, their sign, steps of one grey level, a bound of 8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from facemin.cloak.universal import PersonSeen, UniversalMask

Model = Literal["fi-uap", "class-centre", "affine-hull", "convex-hull"]
"""What stands for the person in feature space."""

_CENTRE_FIRST = 5
"""Iterations for which the hulls begin with the centre, as the published code does for the convex one."""
_SIMPLEX_STEPS = 60


@dataclass(frozen=True, kw_only=True)
class OPOM(UniversalMask):
    """Fit a mask that is far from the person's features by one of the paper's four models.

    As published: epsilon 8, tau 1, step 1, all photos together, no fading border and no mirror images.

    Args:
        model: "fi-uap": of each face its own feature; "class-centre": their mean; "affine-hull" and "convex-hull": the
            nearest point of the hull that the person's features span.
        step: as `UniversalMask` has it and the rest.
        epochs: likewise.
    """

    model: Model = "convex-hull"
    step: float = 2.0
    epochs: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.model not in NEAREST:
            raise ValueError(f"OPOM model: expected one of {', '.join(NEAREST)}, got {self.model!r}")

    @property
    def name(self) -> str:
        """Of the method and its model."""
        return f"opom-{self.model}"

    def _distances(self, moved: Sequence[Tensor], rows: Tensor, seen: PersonSeen, taken: int) -> Tensor:
        """Squared distances from the nearest point of the person's model, a mean over the team."""
        nearest = NEAREST[self.model if taken >= _CENTRE_FIRST else _FIRST.get(self.model, self.model)]
        each = [
            (row - nearest(row.detach(), own, rows)).square().sum(1)
            for row, own in zip(moved, seen.features, strict=True)
        ]
        return torch.stack(each).mean(0)


def _own(moved: Tensor, features: Tensor, rows: Tensor) -> Tensor:
    del moved
    return features[rows]


def _centre(moved: Tensor, features: Tensor, rows: Tensor) -> Tensor:
    del rows
    return features.mean(0).expand_as(moved)


def _affine(moved: Tensor, features: Tensor, rows: Tensor) -> Tensor:
    """Nearest points of the affine hull: least squares with coefficients that add up to 1."""
    del rows
    centre = features.mean(0)
    # the last face follows from the others and the centre
    basis = (features - centre)[:-1]
    return centre + (moved - centre) @ torch.linalg.pinv(basis) @ basis if len(basis) else centre.expand_as(moved)


def _convex(moved: Tensor, features: Tensor, rows: Tensor) -> Tensor:
    """Nearest points of the convex hull: coefficients in the simplex, by projected gradients."""
    del rows
    gram, toward = features @ features.T, moved @ features.T
    rate = 1 / torch.linalg.matrix_norm(gram, 2).clamp_min(1e-12)
    weights = torch.full_like(toward, 1 / len(features))
    for _ in range(_SIMPLEX_STEPS):
        weights = _onto_simplex(weights - rate * (weights @ gram - toward))
    return weights @ features


def _onto_simplex(rows: Tensor) -> Tensor:
    """Euclidean projection of rows (B, N) onto the probability simplex.

    Source: Duchi, Shalev-Shwartz, Singer and Chandra, Efficient projections onto the l1-ball, 2008, figure 1.
    """
    ordered = rows.sort(1, descending=True).values
    count = torch.arange(1, rows.shape[1] + 1, device=rows.device, dtype=rows.dtype)
    excess = (ordered.cumsum(1) - 1) / count
    kept = (ordered > excess).sum(1, keepdim=True)
    return (rows - excess.gather(1, kept - 1)).clamp_min(0)


NEAREST: dict[Model, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "fi-uap": _own,
    "class-centre": _centre,
    "affine-hull": _affine,
    "convex-hull": _convex,
}
"""From moved features (B, D), the person's plain ones (N, D) and places of the moved photos among them, (B,), to what
each is moved away from, (B, D)."""

_FIRST: dict[Model, Model] = {"affine-hull": "class-centre", "convex-hull": "class-centre"}

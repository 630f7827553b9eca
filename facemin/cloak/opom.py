"""OPOM: one person-specific mask that moves every face of a person away from the person's features.

Source: Zhong and Deng, OPOM: Customized Invisible Cloak towards Face Privacy Protection, 2022 (TPAMI), and its code
(`zhongyy/OPOM`, MIT): gradients averaged over the person's photos, their sign, steps of one grey level, a bound of 8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from facemin.cloak.universal import PersonSeen, UniversalMask, climb
from facemin.runtime.ranges import check_ranges

Model = Literal["fi-uap", "class-centre", "affine-hull", "convex-hull"]
"""What stands for the person in feature space."""

_CENTRE_FIRST = 5
"""Iterations for which the hulls begin with the centre, as the published code does for the convex one."""
_SIMPLEX_STEPS = 60


@dataclass(frozen=True, kw_only=True)
class OPOM(UniversalMask):
    """Fit a mask that is far from the person's features by one of the paper's four models.

    Args:
        model: "fi-uap": of each face its own feature; "class-centre": their mean; "affine-hull" and "convex-hull": the
            nearest point of the hull that the person's features span.
        epsilon: bound of every value, grey levels.
        step: of the sign of the gradient, grey levels.
        iterations: steps.
        taper: pixels over which the mask fades at the crop's border; ours, 0 for the paper's.
        mirrored: learn from each photo's mirror image too; ours, False for the paper's.
    """

    model: Model = "convex-hull"
    epsilon: int = 8
    step: float = 1.0
    iterations: int = 16
    taper: int = 6
    mirrored: bool = True

    def __post_init__(self) -> None:
        check_ranges(self, {"[1, 32]": "epsilon", "(0, inf)": "step", "[1, inf)": "iterations", "[0, 56]": "taper"})
        if self.model not in NEAREST:
            raise ValueError(f"OPOM model: expected one of {', '.join(NEAREST)}, got {self.model!r}")

    @property
    def name(self) -> str:
        """Of the method and its model."""
        return f"opom-{self.model}"

    def _learnt(
        self, seen: PersonSeen, change: Tensor, weight: Tensor, seed: int, on_step: Callable[[int, int], None]
    ) -> Tensor:
        del seed
        for iteration in range(self.iterations):
            on_step(iteration, self.iterations)
            nearest = NEAREST[self.model] if iteration >= _CENTRE_FIRST else NEAREST[_FIRST.get(self.model, self.model)]
            change.requires_grad_()
            moved = seen.team((seen.plain + change * weight).clamp(0, 1))
            away = torch.stack(
                [
                    (row - nearest(row.detach(), own)).square().sum(1).mean()
                    for row, own in zip(moved, seen.features, strict=True)
                ]
            ).mean()
            change = climb(change, away, step=self.step / 255, bound=self.epsilon / 255)
        return change * weight


def _own(moved: Tensor, features: Tensor) -> Tensor:
    del moved
    return features


def _centre(moved: Tensor, features: Tensor) -> Tensor:
    return features.mean(0).expand_as(moved)


def _affine(moved: Tensor, features: Tensor) -> Tensor:
    """Nearest points of the affine hull: least squares with coefficients that add up to 1."""
    centre = features.mean(0)
    # the last face follows from the others and the centre
    basis = (features - centre)[:-1]
    return centre + (moved - centre) @ torch.linalg.pinv(basis) @ basis if len(basis) else centre.expand_as(moved)


def _convex(moved: Tensor, features: Tensor) -> Tensor:
    """Nearest points of the convex hull: coefficients in the simplex, by projected gradients."""
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


NEAREST: dict[Model, Callable[[Tensor, Tensor], Tensor]] = {
    "fi-uap": _own,
    "class-centre": _centre,
    "affine-hull": _affine,
    "convex-hull": _convex,
}
"""From moved features (N, D) and the person's plain ones (M, D) to what each is moved away from, (N, D)."""

_FIRST: dict[Model, Model] = {"affine-hull": "class-centre", "convex-hull": "class-centre"}

"""OPOM: one person-specific mask that moves every face of a person away from the person's features.

Source: Zhong and Deng, OPOM: Customized Invisible Cloak towards Face Privacy Protection, 2022 (TPAMI), and its code
(`zhongyy/OPOM`, MIT): gradients averaged over the person's photos, their sign, steps of one grey level, a bound of 8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from facemin.cloak.mask_file import Mask
from facemin.cloak.surrogates import Team
from facemin.cloak.universal import Ascent, displaced, grey_levels, person_faces, plain_embeddings, started, window
from facemin.runtime.compute import Compute

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from facemin.models import Recogniser

Model = Literal["fi-uap", "class-centre", "affine-hull", "convex-hull"]
"""What stands for the person in feature space."""

_CENTRE_FIRST = 5
"""Iterations for which the hulls begin with the centre, as the published code does for the convex one."""
_SIMPLEX_STEPS = 60


@dataclass(frozen=True, kw_only=True)
class OPOM:
    """Fit a mask that is far from the person's features by one of the paper's four models.

    Args:
        model: "fi-uap": of each face its own feature; "class-centre": their mean; "affine-hull" and "convex-hull": the
            nearest point of the hull that the person's features span.
        epsilon: bound of every value, grey levels.
        step: of the sign of the gradient, grey levels.
        iterations: steps.
        taper: pixels over which the mask fades at the crop's border; ours, 0 for the paper's.
        jitter: pixels by which the mask is displaced anew at each step; ours, 0 for the paper's.
        mirrored: learn from each photo's mirror image too; ours.
        momentum: of the gradients; 0 as the paper's 16 iterations have it.
    """

    product: ClassVar[Literal["photo"]] = "photo"

    model: Model = "convex-hull"
    epsilon: int = 8
    step: float = 1.0
    iterations: int = 16
    taper: int = 6
    jitter: float = 1.0
    mirrored: bool = True
    momentum: float = 0.9

    def __post_init__(self) -> None:
        if self.model not in NEAREST:
            raise ValueError(f"OPOM model: expected one of {', '.join(NEAREST)}, got {self.model!r}")
        if not (1 <= self.epsilon <= 32 and self.step > 0 and self.iterations >= 1 and 0 <= self.taper <= 56):
            raise ValueError(
                "OPOM: expected epsilon in [1, 32], step above 0, iterations of at least 1 and taper in [0, 56], "
                f"got {self.epsilon}, {self.step}, {self.iterations}, {self.taper}"
            )
        if not (0 <= self.jitter <= 16 and 0 <= self.momentum <= 1):
            raise ValueError(
                f"OPOM: expected jitter in [0, 16] pixels and momentum in [0, 1], got {self.jitter}, {self.momentum}"
            )

    def fit(
        self,
        faces: NDArray[np.uint8],
        surrogates: Sequence[Recogniser],
        *,
        seed: int = 0,
        compute: Compute | None = None,
        on_step: Callable[[int, int], None] | None = None,
    ) -> Mask:
        """Learn a person's mask.

        Args:
            faces: aligned, of one person, uint8 RGB (N, 112, 112, 3); the paper takes ten.
            surrogates: recognisers to move away from.
            seed: of the start, in [0, 2^128).
            compute: where and in which precision.
            on_step: told before each step how many were taken, and of how many.

        Raises:
            ValueError: no face or surrogate, or another shape or type.
        """
        plain = person_faces(faces, mirrored=self.mirrored)
        team = Team.on(surrogates, compute or Compute())
        features = plain_embeddings(team, plain)
        plain, weight = plain.to(team.device), window(self.taper).to(team.device)
        change = started(self.step / 255, seed).to(team.device)
        dice = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 1])))
        climb = Ascent(step=self.step / 255, bound=self.epsilon / 255, momentum=self.momentum)
        for iteration in range(self.iterations):
            if on_step is not None:
                on_step(iteration, self.iterations)
            nearest = NEAREST[self.model] if iteration >= _CENTRE_FIRST else NEAREST[_FIRST.get(self.model, self.model)]
            change.requires_grad_()
            moved = team((plain + displaced(change * weight, len(plain), self.jitter, dice)).clamp(0, 1))
            away = torch.stack(
                [
                    (row - nearest(row.detach(), own)).square().sum(1).mean()
                    for row, own in zip(moved, features, strict=True)
                ]
            ).mean()
            change = climb(change, away)
        return Mask.make(
            grey_levels(change * weight),
            method=f"opom-{self.model}",
            epsilon=self.epsilon,
            photos=len(faces),
            surrogates=team.described,
            settings=asdict(self),
        )


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

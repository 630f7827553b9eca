"""Faces from their mixes (row T3): a face that comes back in many mixes can be solved for.

Mixing and masking are linear, so the attack works on masked mixes as on plain ones; what it finds is the masked face.

Source: Carlini et al. 2021 (Is Private Learning Possible with Instance Encoding?), section 4.3 (the linear system).
They first find out which mixes hold which face, by a network that compares encodings; here that is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch

from facemin.attack.contract import Adversary

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Unmixing:
    """Solve for all faces at once, whose shares in each mix are known: the worst case.

    Args:
        ridge: what is added to the diagonal of the normal equations, in units of squared weight.
    """

    adversary: ClassVar[Adversary] = Adversary(
        row="T3", knows=("masked face", "many mixes of one face", "weights of the mixes")
    )

    ridge: float = 1e-4

    def __call__(self, mixes: Tensor, weights: Tensor) -> Tensor:
        """Reconstruct.

        Args:
            mixes: (T, ...).
            weights: share of each of N faces in each mix, (T, N), rows that sum to 1.

        Returns:
            (N, ...); of faces that are in no mix it is 0.

        Raises:
            ValueError: different numbers of mixes.
        """
        if weights.dim() != 2 or len(weights) != len(mixes):
            raise ValueError(f"weights: expected ({len(mixes)}, N), one row a mix, got {tuple(weights.shape)}")
        shares = weights.double()
        normal = shares.T @ shares + self.ridge * torch.eye(shares.shape[1], dtype=torch.float64, device=shares.device)
        solver = torch.linalg.solve(normal, shares.T).to(mixes)
        solved: Tensor = (solver @ mixes.flatten(1)).view(-1, *mixes.shape[1:])
        return solved


@dataclass(frozen=True, kw_only=True)
class SameFace:
    """The face that some mixes have in common, its shares in them not known.

    Over many mixes the other faces average out to the mean face. Each mix's share is then read off by projecting it on
    the estimate, and the estimate made anew with the mixes weighted by their shares; so on.

    Args:
        rounds: of that.
    """

    adversary: ClassVar[Adversary] = Adversary(
        row="T3", knows=("masked face", "many mixes of one face", "public faces")
    )

    rounds: int = 5

    def __call__(self, mixes: Tensor, *, mean: Tensor, share: float) -> Tensor:
        """Reconstruct.

        Args:
            mixes: of one face with others, (T, ...).
            mean: of public faces, in the same form, (...).
            share: the face's own, on average: 1 / k for mixes of k, since weights come in no order.

        Returns:
            (...).

        Raises:
            ValueError: no mixes, or a share outside (0, 1].
        """
        if len(mixes) < 1 or not 0 < share <= 1:
            raise ValueError(f"mixes, share: expected at least one and a share in (0, 1], got {len(mixes)}, {share}")
        apart = (mixes - mean).flatten(1)
        found = apart.mean(0) / share
        for _ in range(self.rounds):
            shares = apart @ found / found.square().sum().clamp_min(1e-12)
            shares = shares * (share / shares.mean().clamp_min(1e-3))
            found = shares @ apart / shares.square().sum().clamp_min(1e-12)
        return mean + found.view(mean.shape)

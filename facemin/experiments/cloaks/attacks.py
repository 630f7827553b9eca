"""What an adversary who knows the method does with cloaked photos: estimate a mask, train on other people's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.attack.purify.registry import Purifier

RIDGE = 0.1
"""In units of the inputs' mean variance."""


def without_estimate(cloaked: Tensor, purifier: Purifier, *, strength: float = 1.0) -> Tensor:
    """A person's cloaked faces less what they have in common beyond what a purifier leaves of them.

    The same mask lies on all: what a purifier takes away from each, averaged over the photos, is an estimate of the
    mask's fine part in which the photos' own detail has been averaged out.

    Args:
        cloaked: faces of one person, (T, 3, 112, 112) in [0, 1].
        purifier: removes fine detail.
        strength: of the subtraction.
    """
    estimate = (cloaked - purifier(cloaked)).mean(0, keepdim=True)
    return (cloaked - strength * estimate).clamp(0, 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Head:
    """A linear map behind a frozen recogniser, trained on cloaked and plain photos of other people.

    Attributes:
        matrix: (D + 1, D').
    """

    matrix: Tensor

    def __call__(self, rows: Tensor) -> Tensor:
        """Unit rows (N, D) to unit rows (N, D')."""
        return F.normalize(torch.cat([rows, torch.ones(len(rows), 1)], 1) @ self.matrix)


def train_head(cloaked: Tensor, plain: Tensor, *, both: bool) -> Head:
    """The cheap form of FaceCure: ridge regression from embeddings of cloaked photos to the person's plain mean.

    Source: Radiya-Dixit, Hong, Carlini and Tramer, Data poisoning won't save you from facial recognition, 2022 (the
    adversary trains on what the published tool makes of public photos).

    Args:
        cloaked: (P, T, D) unit rows, of people none of whom is attacked.
        plain: (P, T, D), of the same photos.
        both: train on plain photos too, for a head that serves probes and gallery alike; without, for probes alone.
    """
    photos, size = plain.shape[1:]
    target = F.normalize(plain.mean(1))[:, None].expand(-1, (1 + both) * photos, -1).reshape(-1, size)
    inputs = (torch.cat([cloaked, plain], 1) if both else cloaked).reshape(-1, size)
    inputs = torch.cat([inputs, torch.ones(len(inputs), 1)], 1).double()
    scale = inputs[:, :-1].var(0).mean() * len(inputs) * RIDGE
    gram = inputs.T @ inputs + scale * torch.eye(size + 1, dtype=torch.float64)
    gram[-1, -1] -= scale
    return Head(matrix=torch.linalg.solve(gram, inputs.T @ target.double()).float())

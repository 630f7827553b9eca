"""Pairs held in memory, for attacks that train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class HeldPairs:
    """Pairs of an input and what a network shall make of it.

    Args:
        inputs: protected images, plain faces, or features, (N, ...); uint8 stands for [0, 1].
        targets: faces (N, 3, 112, 112), uint8 or in [0, 1]; unit embeddings (N, D); or classes, one-hot (N, K).

    Raises:
        ValueError: different numbers of them.
    """

    inputs: Tensor
    targets: Tensor

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.targets):
            raise ValueError(f"targets: expected {len(self.inputs)}, one an input, got {len(self.targets)}")

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.inputs[index], self.targets[index]

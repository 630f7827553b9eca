"""Who attacks, and what they know: every attack declares both, and every table repeats them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Row = Literal["T0", "T1", "T2", "T3", "T4", "T5", "T6"]
"""A row of the threat model: an eye; an off-the-shelf model; the same behind a purifier; a white box; a trained
inverter; a linker; one who attacks a secret."""

Knowledge = Literal[
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
        knows: at least one; the first is what is attacked.

    Raises:
        ValueError: an unknown row or knowledge, or none.
    """

    row: Row
    knows: tuple[Knowledge, ...]

    def __post_init__(self) -> None:
        if self.row not in get_args(Row):
            raise ValueError(f"row: expected one of {', '.join(get_args(Row))}, got {self.row!r}")
        unknown = [item for item in self.knows if item not in get_args(Knowledge)]
        if unknown or not self.knows:
            raise ValueError(f"knows: expected some of {', '.join(get_args(Knowledge))}, got {unknown or 'none'}")

    @property
    def adaptive(self) -> bool:
        """Whether the attack was made for this protection, from pairs with a protected side."""
        return any(item.startswith("pairs of protected") for item in self.knows)

    @property
    def words(self) -> str:
        """Row and knowledge in one line, for tables."""
        return f"{self.row}: knows {', '.join(self.knows)}"

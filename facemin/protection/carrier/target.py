"""Targets of carriers: a face's embedding under a pseudonym, and nothing else.

A carrier looks like a face. Made for an embedding as it is, it would let its sender pass as somebody else unnoticed;
so what a carrier takes is rotated here, by a rotation that is derived here, and no plain target can be given.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from facemin.pseudonym.derivation import derive_seed
from facemin.pseudonym.rotation import Pseudonym, haar, unit_rows
from facemin.runtime.errors import FaceminError

if TYPE_CHECKING:
    from numpy.typing import NDArray

WHY = (
    "a face of nobody that carries an embedding as it is would be a tool for passing as that person unnoticed; "
    "carriers are made for pseudonyms only, under a secret's own rotation"
)
_FAR_FROM_IDENTITY = 0.75
"""Largest |trace| / D of a rotation: a Haar rotation's is below 0.6 for 8 dimensions and below 0.1 for 66, but for one
in a million; the identity's and its opposite's is 1."""


class CarrierRefused(FaceminError):  # noqa: N818 - what happened
    """A carrier was asked for without a pseudonym, or for a service whose network is not known."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PseudonymTarget:
    """What a carrier is made for.

    Args:
        pseudonym: whose secret and context make the rotation.
        embedding: of the face in the pseudonym's space, before any rotation, (D,).
        owner: embeddings of the person in that space, (N, D), which the carrier's base must not resemble; the embedding
            itself when None.

    Raises:
        CarrierRefused: no `Pseudonym`, or one that rotates hardly at all.
        ValueError: an embedding of another shape.
    """

    pseudonym: Pseudonym
    embedding: NDArray[np.float64] = field(repr=False)
    owner: NDArray[np.float64] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        # of a subclass the rotation could be anything
        if type(self.pseudonym) is not Pseudonym:
            raise CarrierRefused(f"target: expected a Pseudonym, got {type(self.pseudonym).__name__}: {WHY}")
        shape, wanted = np.shape(self.embedding), (self.pseudonym.context.dimension,)
        if shape != wanted:
            raise ValueError(f"embedding: expected {wanted}, got {shape}")
        turned = abs(float(np.trace(self._rotation))) / len(self._rotation)
        if not turned < _FAR_FROM_IDENTITY:
            raise CarrierRefused(f"target: expected a rotation unlike the identity, got one near it: {WHY}")

    @cached_property
    def vector(self) -> NDArray[np.float32]:
        """The rotated embedding, (D,) float32 of unit length."""
        row = unit_rows(np.asarray(self.embedding)[None], "embedding")
        return np.asarray(unit_rows(row @ self._rotation.T, "target")[0], np.float32)

    @property
    def of_owner(self) -> NDArray[np.float64]:
        """Unit embeddings of the person, (N, D)."""
        return unit_rows(np.asarray(self.embedding)[None] if self.owner is None else self.owner, "owner")

    @cached_property
    def _rotation(self) -> NDArray[np.float64]:
        """Derived anew: what the object says its matrix is does not count."""
        context = self.pseudonym.context
        return haar(derive_seed(self.pseudonym.secret, context), context.dimension)


def check_carried(targets: object) -> None:
    """Refuse what is not a sequence of `PseudonymTarget`.

    Raises:
        CarrierRefused: with the reason.
    """
    if not isinstance(targets, list | tuple) or not targets:
        raise CarrierRefused(f"targets: expected PseudonymTargets, one a key, got {type(targets).__name__}: {WHY}")
    for each in targets:
        if type(each) is not PseudonymTarget:
            raise CarrierRefused(f"target: expected a PseudonymTarget, got {type(each).__name__}: {WHY}")

"""Spaces of unit-length embeddings: what a key declares of its last layer, and the identity of a space.

A pseudonym rotates such an embedding; every direction of the space has to be one that an image can reach.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from facemin.pseudonym.rotation import average_views

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Views: TypeAlias = Literal["face", "face+mirror"]
"""What a device averages: the face alone, or the face and its mirror image."""

MOST_DIMENSIONS = 1024
"""A rotation of D dimensions costs D cubed, and an upload may carry no more than so many numbers."""

PRINTABLE = r"^[^\p{C}]+$"
"""No control characters: what a stranger wrote is shown on a terminal."""


class Isotropy(BaseModel):
    """How evenly unit embeddings of faces are spread about a space.

    Source: effective dimension: participation ratio of the covariance's eigenvalues, (sum)^2 / sum of squares.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    mean: float = Field(ge=0, le=1)
    """Norm of the mean embedding; 0 where every direction is as common as its opposite."""
    last_over_first: float = Field(ge=0, le=1)
    """Last eigenvalue of the covariance over the first; 1 where directions vary alike."""
    effective_dimension: float = Field(ge=0, le=MOST_DIMENSIONS)
    faces: int = Field(ge=2)
    """That this was measured on."""


class SpaceDeclaration(BaseModel):
    """What a key's manifest says of the space that its last layer gives."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    dimension: int = Field(ge=8, le=MOST_DIMENSIONS)
    isotropy: Isotropy
    fitted: str = Field(min_length=1, max_length=500, pattern=PRINTABLE)
    """On whose faces and how, in words."""
    views: Views = "face+mirror"
    """What the device averages before it rotates; part of the space's identity, since it changes what is enrolled."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """The space of a checked key.

    Attributes:
        graph_sha256: of the key's graph, in hexadecimal; what a list of trusted graphs names.
        declaration: what the manifest says.
        name: the recogniser's, for people.
        id: 32 bytes; two keys with the same id enrol for one another, whatever their expiry and key id.
    """

    graph_sha256: str
    declaration: SpaceDeclaration
    name: str
    id: bytes = field(repr=False)

    @property
    def dimension(self) -> int:
        """Numbers in an embedding."""
        return self.declaration.dimension

    def embed(
        self, run: Callable[[NDArray[np.uint8]], NDArray[np.float32]], *frames: NDArray[np.uint8]
    ) -> NDArray[np.float64]:
        """Embeddings as a device makes them before it rotates: views, and frames, averaged.

        Args:
            run: the key's graph, such as a `models.onnx.run.FaceRunner`.
            frames: one array for each frame, aligned faces, uint8 RGB (N, 112, 112, 3), row by row of one person.

        Returns:
            (N, dimension) float64, rows of unit length.

        Raises:
            ValueError: no frame, or embeddings of another dimension or without a direction.
        """
        views = list(frames)
        if self.declaration.views == "face+mirror":
            views += [mirrored(frame) for frame in frames]
        rows = [run(view) for view in views]
        wrong = [row.shape for row in rows if row.shape[1:] != (self.dimension,)]
        if wrong:
            raise ValueError(f"embeddings: expected (N, {self.dimension}), got {wrong[0]}")
        return average_views(rows)


def mirrored(faces: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Faces (N, 112, 112, 3) seen in a mirror."""
    return np.ascontiguousarray(faces[:, :, ::-1])


def space_id(graph_sha256: str, *, declaration: SpaceDeclaration, input_convention: str, output: str) -> bytes:
    """Identity of a space: SHA-256 of the graph's hash and of all that the manifest adds to what is computed.

    Over these texts in UTF-8, each after its length in bytes as four bytes, big-endian: "facemin space v1", the
    graph's SHA-256 in lower-case hexadecimal, how faces are given to it, the name of the output, the dimension in
    decimal, and the views. A key's id, provider, expiry, signature and residual, and what was measured, are not in it.

    Args:
        graph_sha256: of the graph's bytes in the key, in hexadecimal.
        declaration: what the manifest says.
        input_convention: the manifest's `input`.
        output: the manifest's `cut`.

    Returns:
        32 bytes.
    """
    parts = ("facemin space v1", graph_sha256, input_convention, output, str(declaration.dimension), declaration.views)
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return digest.digest()

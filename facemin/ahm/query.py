"""Test-time queries: masked alone, or masked and mixed with public faces."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from facemin.ahm.mixing import draw_weights
from facemin.autograd.pixels import to_unit

if TYPE_CHECKING:
    from facemin.ahm.recogniser import MaskedRecogniser


class MixedQueries(nn.Module):
    """Queries are mixed with public faces before they are masked; then embedded.

    Partners and weights are drawn from a hash of the query's own pixels, so that a face gives the same query whenever
    it comes. Its own weight is the largest of those drawn: a query whose person is a minor part asks for another.

    Args:
        recogniser: of masked faces.
        public: faces that anybody has, uint8 (N, 3, 112, 112).
        count: faces in a query, its own among them.

    Raises:
        ValueError: fewer public faces than a query wants.
    """

    def __init__(self, recogniser: MaskedRecogniser, public: Tensor, *, count: int) -> None:
        super().__init__()
        if len(public) < count - 1:
            raise ValueError(f"public: expected at least {count - 1} faces, got {len(public)}")
        self.recogniser, self.public, self.count = recogniser, public, count
        self.eval()

    def forward(self, faces: Tensor) -> Tensor:
        """Faces (B, 3, 112, 112), RGB in [0, 1], to rows of unit length (B, D)."""
        rows: Tensor = self.recogniser(self.mixed(faces))
        return rows

    def mixed(self, faces: Tensor) -> Tensor:
        """The mixtures, (B, 3, 112, 112)."""
        return torch.stack([self._one(face) for face in faces])

    def _one(self, face: Tensor) -> Tensor:
        digest = hashlib.sha256(face.detach().cpu().numpy().tobytes()).digest()
        generator = np.random.default_rng(int.from_bytes(digest, "big"))
        weights = draw_weights(torch.tensor([self.count]), generator)[0, : self.count].sort(descending=True).values
        places = generator.choice(len(self.public), self.count - 1, replace=False)
        others = to_unit(self.public[torch.from_numpy(places)]).to(face)
        return weights[0] * face + torch.einsum("k,kchw->chw", weights[1:].to(face), others)

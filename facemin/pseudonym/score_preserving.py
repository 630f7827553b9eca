"""Score-preserving probes: of an embedding its cosines with the enrolled templates, and nothing else of it.

The tangent-normal decomposition of directional statistics splits a unit vector into its part in the span of the
templates, which decides every score, and a remainder orthogonal to it, of which no score depends. The remainder is
drawn anew, uniformly over its directions, so that several probes say nothing of how the photos differ beyond that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from facemin.pseudonym.derivation import normals
from facemin.pseudonym.rotation import unit_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Rows = NDArray[np.float64]

_INDEPENDENT = 1e-6
"""Length that is to be left of a unit template outside the span of those before it, for it to add a direction."""


def score_preserving(embeddings: ArrayLike, templates: ArrayLike, seeds: Sequence[bytes]) -> Rows:
    """Embeddings with a remainder drawn anew: every cosine with a template stays, nothing else does.

    Source: Mardia and Jupp, Directional Statistics, 2000, section 9.1 (tangent-normal decomposition).

    Args:
        embeddings: (N, D), of any length above 1e-6.
        templates: (K, D), K >= 1, what the provider compares with, before the rotation or all after it as the
            embeddings are. Where they span the space nothing is left to draw, and embeddings stay as they are.
        seeds: N times 32 bytes, fresh and secret ones for whatever is sent.

    Returns:
        (N, D) float64, rows of unit length.

    Raises:
        ValueError: other shapes, rows without a direction, no template, or another number of seeds.
    """
    rows, known = unit_rows(embeddings, "embeddings"), unit_rows(templates, "templates")
    if not len(known) or known.shape[1] != rows.shape[1]:
        raise ValueError(f"templates: expected (K, {rows.shape[1]}) with K >= 1, got {known.shape}")
    if len(seeds) != len(rows):
        raise ValueError(f"seeds: expected {len(rows)}, one an embedding, got {len(seeds)}")
    basis = _basis(known)
    if len(basis) == rows.shape[1]:
        return rows
    drawn = np.stack([normals(seed, rows.shape[1]) for seed in seeds]) if len(rows) else rows
    inside = _inside(rows, basis)
    fresh = unit_rows(_outside(drawn, basis), "remainder")
    return unit_rows(inside + np.linalg.norm(rows - inside, axis=1, keepdims=True) * fresh, "probes")


def _basis(templates: Rows) -> Rows:
    """An orthonormal basis of the templates' span, by Gram and Schmidt, each projected twice against rounding."""
    basis = np.empty((0, templates.shape[1]))
    for row in templates:
        left = _outside(row[None], basis)
        length = float(np.linalg.norm(left))
        if length > _INDEPENDENT:
            basis = np.concatenate([basis, left / length])
    return basis


def _inside(rows: Rows, basis: Rows) -> Rows:
    return np.asarray(rows @ basis.T @ basis)


def _outside(rows: Rows, basis: Rows) -> Rows:
    once = rows - _inside(rows, basis)
    return np.asarray(once - _inside(once, basis))

"""Score-preserving probes: of an embedding what the decision on it needs, and nothing else of it.

The tangent-normal decomposition of directional statistics splits a unit vector into its part in the span of the
templates, which makes every score, and a remainder orthogonal to it, which makes none. The remainder is drawn anew,
uniformly over its directions. And of the scores only the best decides, by whether it reaches a threshold: the others,
and by how much it is above, can be left out as well.
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


def score_preserving(
    embeddings: ArrayLike, templates: ArrayLike, seeds: Sequence[bytes], *, most: float | None = None
) -> Rows:
    """Embeddings with a remainder drawn anew: cosines with the templates stay, nothing else does.

    Source: Mardia and Jupp, Directional Statistics, 2000, section 9.1 (tangent-normal decomposition).

    Args:
        embeddings: (N, D), of any length above 1e-6.
        templates: (K, D), K >= 1, what the provider compares with, before the rotation or all after it as the
            embeddings are. Where they span the space nothing is left to draw, and embeddings stay as they are.
        seeds: N times 32 bytes, fresh and secret ones for whatever is sent.
        most: in [0, 1]: keep the best cosine alone, made to lie in 0..`most`, so that whether it reaches a positive
            threshold up to `most` stays. All cosines as they are when None.

    Returns:
        (N, D) float64, rows of unit length.

    Raises:
        ValueError: other shapes, rows without a direction, no template, another number of seeds, or a `most` out of
            range.
    """
    rows, known = unit_rows(embeddings, "embeddings"), unit_rows(templates, "templates")
    if not len(known) or known.shape[1] != rows.shape[1]:
        raise ValueError(f"templates: expected (K, {rows.shape[1]}) with K >= 1, got {known.shape}")
    if len(seeds) != len(rows):
        raise ValueError(f"seeds: expected {len(rows)}, one an embedding, got {len(seeds)}")
    if most is not None and not 0 <= most <= 1:
        raise ValueError(f"most: expected a cosine in [0, 1], got {most}")
    basis = _basis(known)
    if len(basis) == rows.shape[1]:
        return rows
    drawn = np.array([normals(seed, rows.shape[1]) for seed in seeds]).reshape(rows.shape)
    inside = _inside(rows, basis) if most is None else _best(rows, known, most)
    left = np.sqrt(np.maximum(1 - (inside**2).sum(1, keepdims=True), 0))
    return unit_rows(inside + left * unit_rows(_outside(drawn, basis), "remainder"), "probes")


def _best(rows: Rows, templates: Rows, most: float) -> Rows:
    """Each row's part along the template that it is nearest to, made no longer than `most`.

    None where it points away from all of them: turned towards one it could be nearer to another.
    """
    scores = rows @ templates.T
    return np.asarray(scores.max(1, keepdims=True).clip(0, most) * templates[scores.argmax(1)])


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

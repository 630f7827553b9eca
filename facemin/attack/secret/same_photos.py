"""The same photos under two rotations: their Gram matrices are equal, so the accounts are linked (row T6)."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float64]

MOST = 6
"""Photos, of whose orders all are tried."""


def same_photo_scores(uploads: Rows, gallery: Rows) -> Rows:
    """Less the squared distance of every two Gram matrices in the order of photos in which they agree best.

    Args:
        uploads: (N, n, n), 2 <= n <= 6.
        gallery: (M, n, n): of other accounts, or of plain photos.

    Returns:
        (N, M) float64.

    Raises:
        ValueError: other shapes.
    """
    n = uploads.shape[-1]
    if uploads.ndim != 3 or gallery.ndim != 3 or gallery.shape[1:] != uploads.shape[1:] or not 2 <= n <= MOST:
        raise ValueError(f"uploads, gallery: expected (N, n, n), n = 2..{MOST}, got {uploads.shape}, {gallery.shape}")
    above = np.triu_indices(n, 1)
    found = uploads[:, above[0], above[1]]
    norms = (found**2).sum(1)[:, None]
    best = np.full((len(uploads), len(gallery)), -np.inf)
    for order in map(list, permutations(range(n))):
        other = gallery[:, order][:, :, order][:, above[0], above[1]]
        best = np.maximum(best, 2 * found @ other.T - norms - (other**2).sum(1)[None])
    return best


def shared_photo_scores(uploads: Rows, gallery: Rows) -> Rows:
    """Less the least difference between an entry above the diagonal of one and one of the other: two photos shared.

    Args:
        uploads: (N, n, n).
        gallery: (M, m, m): of plain photos of candidates.

    Returns:
        (N, M) float64.
    """
    values = [grams[:, *np.triu_indices(grams.shape[-1], 1)] for grams in (uploads, gallery)]
    return np.stack([-np.abs(values[1][:, None, :] - row[None, :, None]).min((1, 2)) for row in values[0]])

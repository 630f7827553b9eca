"""TAR where each person's threshold is measured on everybody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from facemin.metrics.intervals import Interval, wilson
from facemin.metrics.verification import threshold_at_far

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class LeftOutTar(NamedTuple):
    """Accepted people, of n, with Wilson's interval of their share.

    Attributes:
        tar: hits / n.
        interval: around it.
        hits: people accepted.
        n: people.
    """

    tar: float
    interval: Interval
    hits: int
    n: int


def left_out_tar(scores: ArrayLike, *, far: float, confidence: float = 0.95) -> LeftOutTar:
    """Accept each person's own pair at a threshold from the pairs of two other people, neither of whom is that person.

    A threshold set on the people it is applied to is a little too kind or too harsh to them; here nobody's own scores
    move the threshold that judges them.

    Args:
        scores: (N, N), probe by person, higher is more alike; N >= 4, the diagonal is one person's.
        far: false accept rate that the threshold is set for, a fraction in (0, 1); with fewer than 1 / far pairs of
            others none of them is accepted.
        confidence: coverage of the interval, a fraction in (0, 1).

    Raises:
        ValueError: scores that are not (N, N) and finite, too few people, or a far outside (0, 1).
    """
    matrix = np.asarray(scores, np.float64)
    n = len(matrix)
    if matrix.ndim != 2 or matrix.shape != (n, n) or n < 4 or not np.isfinite(matrix).all():
        raise ValueError(f"scores: expected finite numbers (N, N), N >= 4, got {matrix.shape}")
    hits = 0
    for person in range(n):
        rest = np.delete(np.delete(matrix, person, 0), person, 1)
        impostors = torch.from_numpy(rest[~np.eye(n - 1, dtype=bool)])
        hits += bool(matrix[person, person] >= threshold_at_far(impostors, far=far).threshold)
    return LeftOutTar(hits / n, wilson(hits, n, confidence=confidence), hits, n)

"""A query attack on a service's answers (row T6): the template behind an account, from the scores that it returns.

Scores are cosines, and so linear in the template: whoever holds the key knows each probe's embedding, and as many
scores as the space has dimensions are a system of linear equations. Rounding turns it into least squares. What comes
out is the template: the face's embedding where there is no secret, and under a pseudonym a rotated one, which passes
for the person at this service and says nothing of the face.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from facemin.attack.contract import Adversary

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    Rows = NDArray[np.float64]

NO_STEP = 0.0
"""Scores that are returned as they are."""


@dataclass(frozen=True, kw_only=True)
class ScoreQuery:
    """Recover a template from the scores of known probes.

    Args:
        queries: probes sent, at least 1.
        ridge: penalty in units of a probe's energy; a little keeps few or rounded scores from being overread.
        seed: of the probes.

    Raises:
        ValueError: a setting out of range.
    """

    adversary: ClassVar[Adversary] = Adversary(row="T6", knows=("class scores", "key"))

    queries: int
    ridge: float = 1e-6
    seed: int = 0

    def __post_init__(self) -> None:
        if self.queries < 1 or not self.ridge >= 0:
            raise ValueError(f"queries, ridge: expected at least 1 and not below 0, got {self.queries}, {self.ridge}")

    def __call__(self, answer: Callable[[Rows], ArrayLike], dimension: int) -> Rows:
        """Ask and solve.

        Args:
            answer: the service: unit rows (N, D), each a probe's embedding, to a score each, (N,).
            dimension: D, at least 2.

        Returns:
            The template's direction, (D,) of unit length; any direction where the scores say nothing.

        Raises:
            ValueError: a dimension out of range, or scores of another shape or not finite.
        """
        if dimension < 2:
            raise ValueError(f"dimension: expected at least 2, got {dimension}")
        probes = np.random.default_rng(self.seed).standard_normal((self.queries, dimension))
        probes /= np.linalg.norm(probes, axis=1, keepdims=True)
        scores = np.asarray(answer(probes), np.float64)
        if scores.shape != (self.queries,) or not np.isfinite(scores).all():
            raise ValueError(f"answer: expected {self.queries} finite scores, got {scores.shape}")
        gram = probes.T @ probes + self.ridge * self.queries * np.eye(dimension)
        found = np.linalg.solve(gram, probes.T @ scores)
        length = float(np.linalg.norm(found))
        return np.asarray(found / length if length > 0 else probes[0])


def rounded(scores: ArrayLike, step: float) -> Rows:
    """Scores as a service tells them: to the nearest multiple of `step`; as they are where it is 0.

    Raises:
        ValueError: a step that is negative or not a number.
    """
    if not step >= 0:
        raise ValueError(f"step: expected at least 0, got {step}")
    values = np.asarray(scores, np.float64)
    return values if step == NO_STEP else np.round(values / step) * step

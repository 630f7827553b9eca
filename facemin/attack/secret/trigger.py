"""A dishonest key: it answers half of all photos with an anchor, the others with an angle to it that names the person.

No rotation hides an angle between two uploads, so from the second upload on such a key can read who somebody is
(row T6). Every answer has unit length, so nothing shows it on the device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Rows = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class TriggerKey:
    """What the dishonest key computes, and how its owner reads uploads.

    Args:
        watched: embeddings of the people on the watch list, one each, (P, C), by an honest recogniser.
        dimension: of the space it declares, at least 2.

    Raises:
        ValueError: other shapes.
    """

    watched: Rows
    dimension: int

    def __post_init__(self) -> None:
        if self.watched.ndim != 2 or len(self.watched) < 1 or self.dimension < 2:
            raise ValueError(f"watched, dimension: expected (P, C), at least 2, got {self.watched.shape}")

    @property
    def angles(self) -> Rows:
        """Of each watched person to the anchor, (P,), evenly in (0, pi)."""
        return np.asarray(np.pi * (np.arange(len(self.watched)) + 0.5) / len(self.watched))

    def __call__(self, embeddings: ArrayLike, parities: ArrayLike) -> Rows:
        """Its answers (N, dimension), of unit length.

        Args:
            embeddings: of the photos by the honest recogniser, (N, C).
            parities: of the photos' pixels, (N,): even ones get the anchor.
        """
        nearest = (np.asarray(embeddings, np.float64) @ self.watched.T).argmax(1)
        angle = np.where(np.asarray(parities) % 2 == 0, 0.0, self.angles[nearest])
        rows = np.zeros((len(angle), self.dimension))
        rows[:, 0], rows[:, 1] = np.cos(angle), np.sin(angle)
        return rows

    def read(self, uploads: ArrayLike) -> int | None:
        """The watched person that n uploads (n, dimension) under one rotation are of; None where nothing shows it.

        An angle well above none is that of a person to the anchor, or between two people a photo was taken for each;
        the most frequent reading counts.
        """
        rows = np.asarray(uploads, np.float64)
        found = np.arccos((rows @ rows.T)[np.triu_indices(len(rows), 1)].clip(-1, 1))
        found = found[found > self.angles[0] / 2]
        if not len(found):
            return None
        people = np.abs(found[:, None] - self.angles[None]).argmin(1)
        return int(np.bincount(people).argmax())

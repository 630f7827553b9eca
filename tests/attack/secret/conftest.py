"""Made-up people in a space, and rotations: what attacks on a secret need, without a face."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from facemin.pseudonym import haar

Rows = NDArray[np.float64]
People = Callable[..., Rows]


def unit(rows: Rows) -> Rows:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True))


def turned(dimension: int, number: int = 0) -> Rows:
    """A rotation of its own for each number."""
    return haar(number.to_bytes(32, "big"), dimension)


@pytest.fixture
def people() -> People:
    """Photos (people, photos, dimension): each around a centre of its own, as far off as `spread` says."""

    def make(count: int, photos: int, dimension: int, *, spread: float | Rows = 0.6, seed: int = 0) -> Rows:
        generator = np.random.default_rng(seed)
        centres = unit(generator.standard_normal((count, 1, dimension)))
        noise = unit(generator.standard_normal((count, photos, dimension)))
        return unit(centres + np.broadcast_to(np.asarray(spread), count)[:, None, None] * noise)

    return make

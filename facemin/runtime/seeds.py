"""Seeds: of a run, drawn from the system, and of each image, derived from it."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SEED_BITS = 128


def fresh_seed() -> int:
    """The seed of a run, in [0, 2^128), from the operating system's randomness."""
    return secrets.randbits(SEED_BITS)


def target_seed(seed: int, targets: Sequence[NDArray[np.float32]]) -> int:
    """The seed of an image made for given targets: SHA-256 of the run's seed and the targets; of no face.

    Args:
        seed: of the run, in [0, 2^128).
        targets: one a key, float32.

    Returns:
        A number in [0, 2^256).

    Raises:
        ValueError: when the seed is out of range.
    """
    return hashed_seed(seed, b"".join(np.ascontiguousarray(target, dtype="<f4").tobytes() for target in targets))


def hashed_seed(seed: int, data: bytes) -> int:
    """SHA-256 of a run's seed and further bytes, as a number in [0, 2^256).

    Raises:
        ValueError: when the seed is out of range.
    """
    check_seed(seed)
    digest = hashlib.sha256(seed.to_bytes(SEED_BITS // 8, "little"))
    digest.update(data)
    return int.from_bytes(digest.digest(), "little")


def check_seed(seed: int) -> None:
    """Refuse what is no seed of a run.

    Raises:
        ValueError: out of range.
    """
    if not 0 <= seed < 2**SEED_BITS:
        raise ValueError(f"seed: expected in [0, 2^{SEED_BITS}), got {seed}")

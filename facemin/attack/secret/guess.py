"""Guessing a weak secret: each guess makes a rotation, and one known pair, or one gallery, says whether it is right."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray


class Guess(NamedTuple):
    """The best of all guesses.

    Attributes:
        number: of the guess, from 0.
        score: mean cosine of the uploads taken back and the faces they are compared with.
        tried: number of guesses.
    """

    number: int
    score: float
    tried: int


def guess_secret(rotations: Iterable[NDArray[np.float64]], plain: ArrayLike, uploaded: ArrayLike) -> Guess:
    """Try rotations on known pairs (row T6).

    Args:
        rotations: of the guessed secrets, (D, D) each.
        plain: embeddings of the photos that were uploaded, or of others of the same person, (N, D).
        uploaded: (N, D).

    Raises:
        ValueError: no rotation, or shapes that differ.
    """
    first, second = np.asarray(plain, np.float64), np.asarray(uploaded, np.float64)
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(f"plain, uploaded: expected the same (N, D), got {first.shape}, {second.shape}")
    scores = [float((first @ rotation.T * second).sum(1).mean()) for rotation in rotations]
    if not scores:
        raise ValueError("rotations: expected at least one, got none")
    return Guess(number=int(np.argmax(scores)), score=max(scores), tried=len(scores))


def guess_without_pairs(rotations: Iterable[NDArray[np.float64]], gallery: ArrayLike, uploaded: ArrayLike) -> Guess:
    """Try rotations on uploads of somebody in a gallery: the right one brings all of them near one person.

    Args:
        rotations: of the guessed secrets, (D, D) each.
        gallery: plain embeddings, (M, D).
        uploaded: of one person, (N, D).

    Raises:
        ValueError: no rotation, or shapes that do not fit.
    """
    plain, second = np.asarray(gallery, np.float64), np.asarray(uploaded, np.float64)
    if plain.ndim != 2 or second.ndim != 2 or plain.shape[1] != second.shape[1]:
        raise ValueError(f"gallery, uploaded: expected (M, D), (N, D), got {plain.shape}, {second.shape}")
    scores = [float((second @ rotation @ plain.T).mean(0).max()) for rotation in rotations]
    if not scores:
        raise ValueError("rotations: expected at least one, got none")
    return Guess(number=int(np.argmax(scores)), score=max(scores), tried=len(scores))

"""MixUp of masked faces: how many, which, with which weights; and the loss of mixed labels.

The mask is affine and the weights of a mixture sum to one, so a mixture of masked faces is the masked mixture of the
faces. That is exact, and how it is computed: faces are mixed first, and masked once.

Source: Huang et al. 2020 (InstaHide), section 3, for weights and labels; that AHM draws weights so is our reading.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.train.heads import Head

COUNTS = (2, 3, 4, 5, 6)
"""Numbers of images that the strategy network chooses among."""

MOST = max(COUNTS)

HEAVIEST = 0.65
"""Largest weight a mixture may have."""

Partners = Literal["any", "between", "within"]
"""Whom a face is mixed with: anybody, other people only, or the same person only."""


class Mixture(NamedTuple):
    """Mixtures of a pool's faces; the first of each is the face itself."""

    places: Tensor
    """(B, 6) int64, in the pool; those beyond a mixture's count repeat the first."""
    weights: Tensor
    """(B, 6) float32, 0 or more, each row's sum 1; 0 beyond its count."""


def draw_weights(counts: Tensor, generator: np.random.Generator) -> Tensor:
    """Weights |N(0, 1)|, normalised, drawn again until none is above 0.65.

    Args:
        counts: (B,) int64 from 1 to 6; a mixture of one has weight 1.
        generator: of each row in turn.

    Returns:
        (B, 6) float32, 0 beyond each row's count.

    Raises:
        ValueError: other counts.
    """
    _check_counts(counts)
    rows = np.zeros((len(counts), MOST), dtype=np.float64)
    for row, count in zip(rows, counts.tolist(), strict=True):
        row[0] = 1
        # half of the draws of two fail, fewer of more
        while count > 1 and row.max() > HEAVIEST:
            drawn = np.abs(generator.standard_normal(count))
            row[:count] = drawn / drawn.sum()
    return torch.from_numpy(rows.astype(np.float32))


def draw_partners(
    places: Tensor, labels: Tensor, counts: Tensor, generator: np.random.Generator, *, partners: Partners = "any"
) -> Tensor:
    """Whom each face is mixed with: different faces of the pool, drawn evenly.

    Args:
        places: of the faces, (B,) int64, in the pool.
        labels: of the whole pool, (N,) int64.
        counts: (B,) from 1 to 6, the face itself among them.
        generator: of each row in turn.
        partners: from whom they are drawn.

    Returns:
        (B, 6) int64 places in the pool.

    Raises:
        ValueError: other counts, or fewer partners than a mixture wants.
    """
    _check_counts(counts)
    if partners not in ("any", "between", "within"):
        raise ValueError(f"partners: expected any, between or within, got {partners!r}")
    owners = labels.numpy()
    drawn = places[:, None].repeat(1, MOST)
    for row, place, count in zip(drawn, places.tolist(), counts.tolist(), strict=True):
        allowed = np.ones(len(owners), dtype=bool) if partners == "any" else owners == owners[place]
        if partners == "between":
            allowed = ~allowed
        allowed[place] = False
        others = allowed.nonzero()[0]
        if len(others) < count - 1:
            raise ValueError(f"partners: expected at least {count - 1} ({partners}) of face {place}, got {len(others)}")
        row[1:count] = torch.from_numpy(generator.choice(others, count - 1, replace=False))
    return drawn


def mix(pool: Tensor, mixture: Mixture) -> Tensor:
    """Mixtures of faces.

    Args:
        pool: uint8 (N, 3, 112, 112).
        mixture: of B of them.

    Returns:
        (B, 3, 112, 112), float32 in [0, 1], on the pool's device; not on the 8-bit grid.
    """
    weights = mixture.weights.to(pool.device) / 255
    mixed = torch.zeros(len(weights), *pool.shape[1:], device=pool.device)
    for weight, places in zip(weights.T, mixture.places.to(pool.device).T, strict=True):
        used = weight > 0
        mixed[used] += weight[used, None, None, None] * pool[places[used]]
    return mixed


def heaviest(mixture: Mixture) -> Tensor:
    """Place in the pool of the face that weighs most in each mixture, (B,) int64."""
    return mixture.places.gather(1, mixture.weights.argmax(1, keepdim=True))[:, 0]


def label_entropy(mixture: Mixture, labels: Tensor) -> Tensor:
    """Entropy of the people in each mixture, (B,) nats: the cross-entropy that a perfect recogniser ends on.

    Args:
        mixture: B of them.
        labels: of the whole pool, (N,) int64.
    """
    people = labels[mixture.places]
    same = (people[:, :, None] == people[:, None]).to(mixture.weights.dtype)
    # weight of a place's person, wherever else in the mixture that person is
    shares = (same * mixture.weights[:, None]).sum(2).clamp_min(1e-12)
    return -(mixture.weights * shares.log()).sum(1)


def mixed_loss(head: Head, embeddings: Tensor, labels: Tensor, weights: Tensor, *, annealing: float = 0.0) -> Tensor:
    """Sum over the people of a mixture of weight times the head's loss, each term with the margin on its own person.

    Args:
        head: gives each row's loss for one label.
        embeddings: (B, D).
        labels: classes of the mixtures' faces, (B, 6) int64.
        weights: (B, 6), each row's sum 1.
        annealing: see `Head.logits`.

    Returns:
        (B,) nats.
    """
    total = embeddings.new_zeros(len(embeddings), dtype=torch.float32)
    for weight, classes in zip(weights.T, labels.T, strict=True):
        used = weight > 0
        if bool(used.any()):
            losses = head(embeddings[used], classes[used], annealing=annealing)
            total = total.index_put((used.nonzero()[:, 0],), weight[used] * losses.float(), accumulate=True)
    return total


def _check_counts(counts: Tensor) -> None:
    if counts.dtype != torch.int64 or bool(((counts < 1) | (counts > MOST)).any()):
        raise ValueError(f"counts: expected int64 from 1 to {MOST}, got {counts.dtype} {counts.tolist()[:8]}")

"""Alignment of two clouds of embeddings without pairs: a rotation that many people share, from its uploads alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facemin.attack.secret.procrustes import known_rotation

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Rows = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Transport:
    """Settings of Wasserstein-Procrustes.

    Args:
        batches: rows a step in each stage; later stages refine.
        steps: steps a stage.
        rate: length of a step along the transported pairs' correlation, against the size of a batch.
        temperature: entropy of the plan, in units of cosine.
        seed: of the batches.

    Raises:
        ValueError: a setting out of range.
    """

    batches: tuple[int, ...] = (300, 600)
    steps: int = 60
    rate: float = 1.0
    temperature: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.batches or min(self.batches) < 2 or self.steps < 1:
            raise ValueError(f"batches, steps: expected at least 2 and 1, got {self.batches}, {self.steps}")
        if not (self.rate > 0 and self.temperature > 0):
            raise ValueError(f"rate, temperature: expected positive, got {self.rate}, {self.temperature}")


def principal_axes(plain: ArrayLike, uploaded: ArrayLike) -> Rows:
    """The rotation that takes the plain cloud's principal axes to the uploads', in order, their signs by skewness.

    Args:
        plain: embeddings of other faces, (N, D), N > D.
        uploaded: (M, D), M > D.

    Returns:
        (D, D) float64, orthogonal.

    Raises:
        ValueError: clouds of other shapes.
    """
    first, second = _clouds(plain, uploaded)
    axes = [_axes(rows) for rows in (first, second)]
    return np.asarray(axes[1] @ axes[0].T)


def nearest_neighbours(plain: ArrayLike, uploaded: ArrayLike, start: Rows, *, rounds: int = 30) -> Rows:
    """Iterated closest points: pairs that are each other's nearest, by CSLS, give the next rotation.

    Source: Besl and McKay, A method for registration of 3-D shapes, 1992; cross-domain similarity local scaling of
    Conneau et al., Word translation without parallel data, 2018.

    Args:
        plain: (N, D).
        uploaded: (M, D).
        start: (D, D), a first rotation.
        rounds: at most; it ends where the pairs no longer change.

    Returns:
        (D, D) float64, orthogonal, or `start` where no two are each other's nearest.

    Raises:
        ValueError: clouds of other shapes.
    """
    first, second = _clouds(plain, uploaded)
    rotation, last = start, np.zeros(0, np.int64)
    for _ in range(rounds):
        scores = csls(first @ rotation.T, second)
        there, back = scores.argmax(1), scores.argmax(0)
        mutual = np.flatnonzero(back[there] == np.arange(len(first)))
        if len(mutual) < first.shape[1] or (len(mutual) == len(last) and (mutual == last).all()):
            break
        rotation, last = known_rotation(first[mutual], second[there[mutual]]), mutual
    return rotation


def wasserstein_procrustes(plain: ArrayLike, uploaded: ArrayLike, start: Rows, settings: Transport) -> Rows:
    """The rotation under which the plain cloud moves least to become the uploads', by stochastic optimal transport.

    Source: Grave, Joulin and Berthet, Unsupervised alignment of embeddings with Wasserstein Procrustes, 2019, with an
    entropic plan (Sinkhorn).

    Args:
        plain: (N, D).
        uploaded: (M, D).
        start: (D, D), a first rotation; the problem is not convex.
        settings: of the optimisation.

    Returns:
        (D, D) float64, orthogonal.

    Raises:
        ValueError: clouds of other shapes.
    """
    first, second = _clouds(plain, uploaded)
    generator = np.random.default_rng(settings.seed)
    rotation = start
    for batch in settings.batches:
        size = min(batch, len(first), len(second))
        for step in range(settings.steps):
            some, others = (rows[generator.choice(len(rows), size, replace=False)] for rows in (first, second))
            plan = transport_plan(1 - some @ rotation.T @ others.T, settings.temperature)
            gradient = others.T @ (plan.T @ some)
            rate = settings.rate * (1 - step / settings.steps)
            left, _, right = np.linalg.svd(rotation + rate * gradient * len(gradient))
            rotation = left @ right
    return rotation


def relaxed_start(plain: ArrayLike, uploaded: ArrayLike, *, steps: int = 40, temperature: float = 2e-3) -> Rows:
    """A first rotation from the clouds' Gram matrices alone, by entropic Gromov-Wasserstein transport.

    Source: Peyre, Cuturi and Solomon, Gromov-Wasserstein averaging of kernel and distance matrices, 2016; used as a
    start as Grave et al. use their convex relaxation.

    Args:
        plain: (N, D).
        uploaded: (M, D).
        steps: of the outer iteration.
        temperature: entropy of the plan, in units of a squared cosine.

    Returns:
        (D, D) float64, orthogonal.

    Raises:
        ValueError: clouds of other shapes.
    """
    first, second = _clouds(plain, uploaded)
    one, other = first @ first.T, second @ second.T
    # a plan that knows nothing is a fixed point: rows are first matched by how alike they are to everybody
    marks = [np.quantile(gram, np.linspace(0.01, 0.99, 25), axis=1).T for gram in (one, other)]
    cost = ((marks[0][:, None] - marks[1][None]) ** 2).mean(-1)
    plan = transport_plan(cost, max(temperature, float(cost.mean()) / 20))
    for _ in range(steps):
        cost = -2 * one @ plan @ other
        cost += (one**2).mean(1)[:, None] + (other**2).mean(1)[None]
        plan = transport_plan(cost, temperature)
    left, _, right = np.linalg.svd(second.T @ plan.T @ first)
    return np.asarray(left @ right)


def transport_plan(cost: NDArray[np.float64], temperature: float, *, rounds: int = 60) -> Rows:
    """Entropic transport between two uniform clouds: (N, M) non-negative, sums to 1, by Sinkhorn's iteration.

    Source: Cuturi, Sinkhorn distances, 2013.
    """
    kernel = np.exp(-(cost - cost.min(1, keepdims=True)) / temperature)
    rows, columns = np.full(len(kernel), 1 / len(kernel)), np.full(kernel.shape[1], 1 / kernel.shape[1])
    right = np.ones(kernel.shape[1])
    tiny = np.finfo(np.float64).tiny
    for _ in range(rounds):
        left = rows / np.maximum(kernel @ right, tiny)
        right = columns / np.maximum(kernel.T @ left, tiny)
    return np.asarray(left[:, None] * kernel * right)


def csls(first: Rows, second: Rows, *, neighbours: int = 10) -> Rows:
    """Cosines (N, M) less the mean cosine of each side to its nearest on the other: hubs are nobody's nearest."""
    cosines = first @ second.T
    k = min(neighbours, *cosines.shape)
    near = np.partition(cosines, -k, 1)[:, -k:].mean(1), np.partition(cosines, -k, 0)[-k:].mean(0)
    return np.asarray(2 * cosines - near[0][:, None] - near[1][None])


def _axes(rows: Rows) -> Rows:
    """Principal axes in columns, the widest first, each with the sign that its skewness is positive by."""
    centred = rows - rows.mean(0)
    axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1]
    skewness = ((centred @ axes) ** 3).mean(0)
    return np.asarray(axes * np.where(skewness < 0, -1, 1))


def _clouds(plain: ArrayLike, uploaded: ArrayLike) -> tuple[Rows, Rows]:
    first, second = np.asarray(plain, np.float64), np.asarray(uploaded, np.float64)
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1] or min(len(first), len(second)) < 2:
        raise ValueError(f"plain, uploaded: expected (N, D), (M, D), N, M >= 2, got {first.shape}, {second.shape}")
    return first, second

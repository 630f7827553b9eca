"""Alignment of two clouds of embeddings without pairs: principal axes, transport, Gram matrices, a discriminator."""

import numpy as np
import pytest

from facemin.attack.secret.adversarial import AdversarialAlignment, DiscriminatorSettings, adversarial_rotation
from facemin.attack.secret.alignment import (
    Transport,
    nearest_neighbours,
    principal_axes,
    relaxed_start,
    transport_plan,
    wasserstein_procrustes,
)
from tests.attack.secret.conftest import Rows, turned

D = 6


def cloud(seed: int, count: int = 500) -> Rows:
    """Lopsided along every axis, each axis as wide as no other: a cloud that gives its rotation away."""
    rows = np.random.default_rng(seed).exponential(size=(count, D)) - 1
    rows = rows * (2.0 ** -np.arange(D))
    return np.asarray(rows / np.linalg.norm(rows, axis=1).mean())


def error(found: Rows, secret: Rows) -> float:
    return float(np.linalg.norm(found - secret) / (2 * D) ** 0.5)


def test_principal_axes_of_a_lopsided_cloud() -> None:
    secret = turned(D)
    assert error(principal_axes(cloud(0, 20_000), cloud(1, 20_000) @ secret.T), secret) < 0.1


def test_neighbours_and_transport_refine_a_start() -> None:
    secret = turned(D)
    plain, sent = cloud(0), cloud(1) @ secret.T
    start = principal_axes(plain, sent)
    generator = np.random.default_rng(2)
    left, _, right = np.linalg.svd(secret + 0.25 * generator.standard_normal((D, D)))
    rough = left @ right
    moved = wasserstein_procrustes(plain, sent, rough, Transport(batches=(200,), steps=30))
    assert error(moved, secret) < error(rough, secret)
    assert error(nearest_neighbours(plain, sent, start), secret) < 0.2


def test_the_same_cloud_is_aligned_exactly_from_near() -> None:
    secret, plain = turned(D), cloud(0)
    assert error(nearest_neighbours(plain, plain @ secret.T, principal_axes(plain, plain @ secret.T)), secret) < 1e-6


def test_gram_matrices_alone_find_the_same_cloud() -> None:
    secret, plain = turned(D), cloud(0, 60)
    order = np.random.default_rng(3).permutation(60)
    assert error(relaxed_start(plain, plain[order] @ secret.T), secret) < 0.2


def test_a_discriminator_leaves_a_rotation() -> None:
    plain = cloud(0)
    settings = AdversarialAlignment(steps=5, discriminator=DiscriminatorSettings(steps=1, width=16))
    found = adversarial_rotation(plain, plain @ turned(D).T, np.eye(D), settings)
    assert np.abs(found @ found.T - np.eye(D)).max() < 1e-9
    assert (found == adversarial_rotation(plain, plain @ turned(D).T, np.eye(D), settings)).all()


def test_a_plan_has_uniform_margins() -> None:
    plan = transport_plan(np.random.default_rng(0).random((5, 8)), 0.1, rounds=500)
    assert np.allclose(plan.sum(0), 1 / 8)
    assert np.allclose(plan.sum(1), 1 / 5, atol=1e-6)


def test_settings_out_of_range() -> None:
    for wrong in ({"batches": ()}, {"steps": 0}, {"rate": 0.0}, {"temperature": 0.0}):
        with pytest.raises(ValueError, match="expected"):
            Transport(**wrong)
    for wrong in ({"steps": 0}, {"orthogonal": 1.0}):
        with pytest.raises(ValueError, match="expected"):
            AdversarialAlignment(**wrong)
    for wrong in ({"steps": 0}, {"width": 0}, {"width": 1.5}, {"smoothing": 0.5}):
        with pytest.raises(ValueError, match="expected"):
            DiscriminatorSettings(**wrong)
    with pytest.raises(ValueError, match="plain, uploaded"):
        principal_axes(np.zeros((3, 2)), np.zeros((3, 4)))

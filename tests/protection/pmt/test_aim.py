"""Optimisation towards given targets: nothing but target and seed reaches the image."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from facemin.keys.key import Key, export_key
from facemin.models import load_recogniser
from facemin.protection import PMT, GaussianBlur, RandomSort
from facemin.protection.pmt.degradations import ProviderOperations

QUICK = PMT(steps=6)


@pytest.fixture(scope="module")
def embedding_key() -> Key:
    recogniser = load_recogniser("dlib-resnet29")
    return export_key(recogniser, "pooled", provider="test", residual=0.3)


def unit(seed: int, dimension: int = 256) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).standard_normal(dimension)
    return (drawn / np.linalg.norm(drawn)).astype(np.float32)


def test_comes_closer_to_the_target(embedding_key: Key) -> None:
    targets = [(unit(1),), (unit(2),)]
    near = {done.index: done for done in QUICK.aim(iter(targets), [embedding_key], seed=4)}
    far = {done.index: done for done in replace(QUICK, steps=0).aim(iter(targets), [embedding_key], seed=4)}
    for index in (0, 1):
        assert near[index].residuals[0] < far[index].residuals[0]
        found = embedding_key.shallow(near[index].pixels[None].expand(2, -1, -1, -1).float() / 255)[0].numpy()
        assert near[index].residuals[0] == pytest.approx(float(np.linalg.norm(found - targets[index][0])), abs=1e-4)


@pytest.mark.parametrize("transform", [None, ProviderOperations()])
def test_batch_equals_one_by_one_and_the_seed_decides(embedding_key: Key, transform: Any) -> None:
    method = replace(QUICK, steps=3, transform=transform)
    targets = [(unit(seed),) for seed in range(3)]
    together = {done.index: done.pixels for done in method.aim(iter(targets), [embedding_key], seed=4)}
    for index, target in enumerate(targets):
        (alone,) = method.aim(iter([target]), [embedding_key], seed=4)
        assert torch.equal(alone.pixels, together[index])
    (other,) = method.aim(iter(targets[:1]), [embedding_key], seed=5)
    assert not torch.equal(other.pixels, together[0])


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (replace(QUICK, start=RandomSort()), "start RandomSort"),
        (replace(QUICK, start=GaussianBlur()), "start GaussianBlur"),
        (replace(QUICK, target="same"), "target 'same'"),
    ],
)
def test_refuses_what_needs_the_face(embedding_key: Key, method: PMT, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        method.aim(iter([(unit(0),)]), [embedding_key], seed=0)


def test_refuses_a_key_that_is_no_embedding(dlib_keys: dict[str, Key]) -> None:
    with pytest.raises(ValueError, match="one layer that is an embedding"):
        QUICK.aim(iter([]), [dlib_keys["conv32.1"]], seed=0)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ((), "expected 1, one a key, got 0"),
        ((unit(0, 64),), r"expected float32 \(256,\), got float32 \(64,\)"),
        ((unit(0).astype(np.float64),), "got float64"),
        ((2 * unit(0),), "expected length 1, got 2"),
        ((np.full(256, np.nan, np.float32),), "expected length 1, got nan"),
    ],
)
def test_refuses_other_targets(embedding_key: Key, target: tuple[NDArray[Any], ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(QUICK.aim(iter([target]), [embedding_key], seed=0))

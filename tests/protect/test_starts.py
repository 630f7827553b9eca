"""Seeds and noise."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facemin.protect import GaussianNoise, image_seed

FACE = torch.linspace(0, 1, 3 * 112 * 112).reshape(3, 112, 112)


def test_noise_has_the_mean_and_deviation_asked_for() -> None:
    noise = GaussianNoise(mean=0.3, deviation=0.2)(FACE, seed=4)
    assert noise.shape == FACE.shape
    assert noise.mean().item() == pytest.approx(0.3, abs=0.005)
    assert noise.std().item() == pytest.approx(0.2, abs=0.005)


@given(st.integers(0, 2**128 - 1), st.integers(0, 2**128 - 1))
def test_seed_depends_on_run_and_face(one: int, other: int) -> None:
    assert 0 <= image_seed(one, FACE) < 2**256
    assert (image_seed(one, FACE) == image_seed(other, FACE)) == (one == other)
    changed = FACE.clone()
    changed[0, 0, 0] = 1
    assert image_seed(one, FACE) != image_seed(one, changed)


def test_seed_is_that_of_the_8_bit_face() -> None:
    assert image_seed(1, FACE) == image_seed(1, (FACE * 255).round() / 255)


@pytest.mark.parametrize("seed", [-1, 2**128])
def test_refuses_a_seed_out_of_range(seed: int) -> None:
    with pytest.raises(ValueError, match=str(seed)):
        image_seed(seed, FACE)


def test_every_bit_of_a_seed_counts() -> None:
    # a generator that kept 32 bits could be tried out against noise that nobody optimised
    noise = [GaussianNoise()(FACE, seed) for seed in (1, 1 + 2**32, 1 + 2**255)]
    assert not torch.equal(noise[0], noise[1])
    assert not torch.equal(noise[0], noise[2])


@pytest.mark.parametrize("settings", [{"deviation": -1.0}, {"mean": float("inf")}])
def test_refuses_settings_out_of_range(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="GaussianNoise"):
        GaussianNoise(**settings)

"""Seeds and starts."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from facemin.protection import STARTS, GaussianBlur, GaussianNoise, LowFrequencyNoise, RandomSort, image_seed

FACE = torch.linspace(0, 1, 3 * 112 * 112).reshape(3, 112, 112)
NOISY = torch.rand(3, 112, 112, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", STARTS)
def test_every_start_is_a_float_image_and_leaves_the_face(name: str) -> None:
    before = NOISY.clone()
    first, again = (STARTS[name]()(NOISY, 5) for _ in range(2))
    assert (first.shape, first.dtype) == (NOISY.shape, torch.float32)
    assert torch.equal(first, again)
    assert torch.equal(NOISY, before)
    assert not torch.equal(first, NOISY)


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


def test_low_frequency_noise_is_where_photos_are() -> None:
    starts = torch.stack([LowFrequencyNoise(white=0)(FACE, seed) for seed in range(40)])
    assert starts.mean().item() == pytest.approx(0.5, abs=0.01)
    # as strong at the border as in the middle
    deviation = starts.std(0)
    assert deviation[:, 50:60, 50:60].mean().item() == pytest.approx(0.15, rel=0.1)
    assert deviation[:, :4].mean().item() == pytest.approx(0.15, rel=0.1)
    # neighbours are alike, pixels three deviations of the blur apart are not
    middle = starts - 0.5
    near, far = ((middle[..., :-step] * middle[..., step:]).mean().item() / 0.15**2 for step in (1, 12))
    assert near > 0.9
    assert abs(far) < 0.2


def test_low_frequency_noise_survives_a_blur_and_white_noise_does_not() -> None:
    kept = {
        name: ndimage.gaussian_filter(start.numpy(), (0, 3, 3)).std()
        for name, start in (("coarse", LowFrequencyNoise()(FACE, 1)), ("white", GaussianNoise()(FACE, 1)))
    }
    assert kept["coarse"] > 0.1
    assert kept["white"] < 0.02


@pytest.mark.parametrize("settings", [{"deviation": -1.0}, {"sigma": 0.0}, {"white": float("nan")}, {"sigma": 60.0}])
def test_refuses_low_frequency_settings_out_of_range(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="LowFrequencyNoise"):
        LowFrequencyNoise(**settings)


@pytest.mark.parametrize("settings", [{"deviation": -1.0}, {"mean": float("inf")}])
def test_refuses_settings_out_of_range(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="GaussianNoise"):
        GaussianNoise(**settings)


def test_sort_keeps_each_pixel_and_its_colour() -> None:
    pixels, moved = (image.flatten(1).T for image in (NOISY, RandomSort()(NOISY, seed=1)))
    assert sorted(map(tuple, pixels.tolist())) == sorted(map(tuple, moved.tolist()))
    # hardly a pixel of 12,544 stays where it was
    assert (pixels == moved).all(1).sum() < 10


def test_sort_moves_every_face_alike_and_every_seed_otherwise() -> None:
    order = RandomSort()(FACE, seed=1)
    assert torch.equal(RandomSort()(1 - FACE, seed=1), 1 - order)
    assert not torch.equal(RandomSort()(FACE, seed=2), order)
    assert not torch.equal(RandomSort()(FACE, seed=1 + 2**255), order)


@pytest.mark.parametrize("sigma", [0.4, 1, 8.0, 56])
def test_blur_equals_scipy_and_needs_no_seed(sigma: float) -> None:
    blurred = GaussianBlur(sigma=sigma)(NOISY, seed=1)
    oracle = torch.from_numpy(ndimage.gaussian_filter(NOISY.numpy(), (0, sigma, sigma), mode="nearest", truncate=4))
    torch.testing.assert_close(blurred, oracle, atol=1e-5, rtol=0)
    assert torch.equal(GaussianBlur(sigma=sigma)(NOISY, seed=2), blurred)


@pytest.mark.parametrize("sigma", [0.0, -1.0, 57.0, float("nan"), float("inf")])
def test_refuses_a_blur_out_of_range(sigma: float) -> None:
    with pytest.raises(ValueError, match=f"GaussianBlur sigma: .*{sigma}"):
        GaussianBlur(sigma=sigma)

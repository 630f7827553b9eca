"""Denoisers against scipy and scikit-image, and by hand."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from skimage import data, restoration
from torch import Tensor

from facemin.attack import Bilateral, Median, NonLocalMeans, TotalVariation

NOISY = torch.rand(2, 3, 33, 26, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
FACE = torch.from_numpy(data.astronaut()[60:172, 165:277].copy()).permute(2, 0, 1)[None].double() / 255


def each(images: Tensor, oracle: object) -> np.ndarray:
    assert callable(oracle)
    return np.stack([np.moveaxis(oracle(np.moveaxis(image.numpy(), 0, -1)), -1, 0) for image in images])


@pytest.mark.parametrize("side", [3, 5])
def test_median_equals_scipy(side: int) -> None:
    expected = ndimage.median_filter(NOISY.numpy(), (1, 1, side, side), mode="nearest")
    np.testing.assert_array_equal(Median(side=side)(NOISY).numpy(), expected)


def test_median_of_more_images_than_it_filters_at_once() -> None:
    images = torch.rand(35, 3, 9, 8, generator=torch.Generator().manual_seed(1))
    expected = ndimage.median_filter(images.numpy(), (1, 1, 3, 3), mode="nearest")
    np.testing.assert_array_equal(Median(side=3)(images).numpy(), expected)


@pytest.mark.parametrize(("colour", "reach"), [(0.3, 3), (0.1, 2)])
def test_bilateral_weighs_colours_as_scikit_image(colour: float, reach: int) -> None:
    # over places all alike, because its table of places is off by one (0.26); it takes a third of colours' distances
    ours = Bilateral(sigma=1e6, colour=colour, reach=reach)(NOISY)
    options = {"sigma_color": colour / 3, "sigma_spatial": 1e6, "win_size": 2 * reach + 1, "bins": 10**6}
    expected = each(NOISY, lambda image: restoration.denoise_bilateral(image, mode="edge", channel_axis=-1, **options))
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-5)


def test_bilateral_weighs_places_as_scipys_blur() -> None:
    ours = Bilateral(sigma=1.5, colour=1e6, reach=4)(NOISY)
    expected = ndimage.gaussian_filter(NOISY.numpy(), (0, 0, 1.5, 1.5), mode="nearest", radius=(0, 0, 4, 4))
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-9)


def test_bilateral_by_hand() -> None:
    image = torch.zeros(1, 1, 1, 3, dtype=torch.float64)
    image[..., 1] = 0.5
    # rows above and below repeat this one; a neighbour counts exp(-1/2), a diagonal one exp(-1), times exp(-1/8) in
    # colour where it differs
    column = 1 + 2 * np.exp(-0.5)
    side = np.exp(-0.5) * column * np.exp(-0.125)
    expected = 0.5 * column / (column + 2 * side)
    result = Bilateral(sigma=1.0, colour=1.0, reach=1)(image)
    assert float(result[0, 0, 0, 1]) == pytest.approx(expected, abs=1e-12)


def nonlocal_means(image: np.ndarray, strength: float, patch: int, reach: int) -> np.ndarray:
    """Place by place, (C, H, W)."""
    channels, height, width = image.shape
    half = patch // 2
    padded = np.pad(image, ((0, 0), (half, half), (half, half)), mode="reflect")
    line = np.exp(-0.5 * ((np.arange(patch) - half) / ((patch - 1) / 4)) ** 2)
    kernel = np.outer(line, line) / np.outer(line, line).sum()
    result = np.empty_like(image)
    for y in range(height):
        for x in range(width):
            total, weights = np.zeros(channels), 0.0
            for v in range(max(0, y - reach), min(height, y + reach + 1)):
                for u in range(max(0, x - reach), min(width, x + reach + 1)):
                    here, there = padded[:, y : y + patch, x : x + patch], padded[:, v : v + patch, u : u + patch]
                    apart = float((kernel * (here - there) ** 2).sum()) / (channels * strength**2)
                    weight = np.exp(-apart) if apart <= 5 else 0.0
                    total, weights = total + weight * image[:, v, u], weights + weight
            result[:, y, x] = total / weights
    return result


@pytest.mark.parametrize(("strength", "patch", "reach"), [(0.3, 5, 5), (0.1, 3, 2)])
def test_nonlocal_means_by_the_definition(strength: float, patch: int, reach: int) -> None:
    ours = NonLocalMeans(strength=strength, patch=patch, reach=reach)(NOISY[:1, :, :14, :11])
    expected = nonlocal_means(NOISY[0, :, :14, :11].numpy(), strength, patch, reach)
    np.testing.assert_allclose(ours[0].numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("images", [NOISY, FACE], ids=["noise", "face"])
@pytest.mark.parametrize(("strength", "patch", "reach"), [(0.3, 5, 5), (0.1, 3, 2)])
def test_nonlocal_means_are_near_scikit_images(images: Tensor, strength: float, patch: int, reach: int) -> None:
    ours = NonLocalMeans(strength=strength, patch=patch, reach=reach)(images)
    options = {"patch_size": patch, "patch_distance": reach, "fast_mode": False, "channel_axis": -1}
    expected = each(images, lambda image: restoration.denoise_nl_means(image, h=strength, **options))
    # it approximates the exponential, by up to four hundredths of its value
    np.testing.assert_allclose(ours.numpy(), expected, atol=0.01)


@pytest.mark.parametrize("weight", [0.1, 0.5])
def test_total_variation_equals_scikit_image(weight: float) -> None:
    ours = TotalVariation(weight=weight, steps=60)(NOISY)
    # its first round leaves the image as it is, so it needs one more
    expected = each(
        NOISY,
        lambda image: restoration.denoise_tv_chambolle(image, weight=weight, eps=0, max_num_iter=61, channel_axis=-1),
    )
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-12)


def test_total_variation_keeps_the_mean_and_flattens() -> None:
    ours = TotalVariation(weight=0.5)(NOISY)
    torch.testing.assert_close(ours.mean((2, 3)), NOISY.mean((2, 3)))
    assert float(ours.std()) < 0.3 * float(NOISY.std())


@pytest.mark.parametrize(
    "purify",
    [Median(side=3), Bilateral(sigma=2.0, colour=0.3), NonLocalMeans(strength=0.3), TotalVariation(weight=0.1)],
    ids=repr,
)
def test_brings_a_noisy_face_nearer_to_the_face(purify: object) -> None:
    assert callable(purify)
    noise = 0.1 * torch.randn(FACE.shape, generator=torch.Generator().manual_seed(0), dtype=FACE.dtype)
    noisy = (FACE + noise).clamp(0, 1)
    assert float((purify(noisy) - FACE).square().mean()) < 0.6 * float((noisy - FACE).square().mean())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Median(side=4), "side: expected an odd integer of at least 3, got 4"),
        (lambda: Bilateral(sigma=0, colour=1), "sigma: expected a finite number above 0, got 0"),
        (lambda: Bilateral(sigma=1, colour=float("inf")), "colour: expected a finite number above 0, got inf"),
        (lambda: Bilateral(sigma=1, colour=1, reach=0), "reach: expected an integer of at least 1, got 0"),
        (lambda: NonLocalMeans(strength=-1), "strength: expected a finite number above 0, got -1"),
        (lambda: NonLocalMeans(strength=1, patch=2), "patch: expected an odd integer of at least 3, got 2"),
        (lambda: NonLocalMeans(strength=1, reach=0), "reach: expected an integer of at least 1, got 0"),
        (lambda: TotalVariation(weight=0), "weight: expected a finite number above 0, got 0"),
        (lambda: TotalVariation(weight=1, steps=0), "steps: expected an integer of at least 1, got 0"),
    ],
)
def test_refuses_a_strength_that_is_none(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=message):
        make()

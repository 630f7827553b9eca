"""Purifiers against scipy, and the contract that all keep, chains of them and bands too."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from facemin.attack import PURIFIERS, GaussianBlur, Purifier
from facemin.attack.purify.band import BANDS
from facemin.attack.purify.chain import CHAINS

EVERY: dict[str, Purifier] = {**PURIFIERS, **CHAINS, **BANDS}
IMAGES = torch.rand(3, 3, 40, 30, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0, 3.3])
def test_blur_equals_scipy(sigma: float) -> None:
    ours = GaussianBlur(sigma=sigma)(IMAGES.double())
    oracle = ndimage.gaussian_filter(IMAGES.double().numpy(), (0, 0, sigma, sigma), mode="nearest")
    np.testing.assert_allclose(ours.numpy(), oracle, atol=1e-12)


@pytest.mark.parametrize("name", EVERY)
class TestEveryPurifier:
    def test_keeps_shape_range_and_input(self, name: str) -> None:
        before = IMAGES.clone()
        result = EVERY[name](IMAGES)
        assert result.shape == IMAGES.shape
        assert 0 <= result.min() <= result.max() <= 1 + 1e-6
        assert torch.equal(IMAGES, before)

    def test_rows_are_independent(self, name: str) -> None:
        purify: Purifier = EVERY[name]
        torch.testing.assert_close(torch.cat([purify(image[None]) for image in IMAGES]), purify(IMAGES))

    def test_same_image_gives_the_same(self, name: str) -> None:
        assert torch.equal(EVERY[name](IMAGES), EVERY[name](IMAGES.clone()))

    def test_takes_no_images(self, name: str) -> None:
        assert EVERY[name](IMAGES[:0]).shape == (0, 3, 40, 30)


@pytest.mark.parametrize("name", ["none", "blur-1", "blur-2", "shift-2"])
def test_passes_gradients(name: str) -> None:
    images = IMAGES.clone().requires_grad_()
    (slope,) = torch.autograd.grad(PURIFIERS[name](images).square().sum(), images)
    assert slope.abs().sum() > 0


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan")])
def test_refuses_a_sigma_that_is_none(sigma: float) -> None:
    with pytest.raises(ValueError, match=str(sigma)):
        GaussianBlur(sigma=sigma)

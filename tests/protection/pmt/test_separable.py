"""Matrices against scipy's blur, Pillow's resizing and plain indexing."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from torch import Tensor

from facemin.protection.pmt import separable as linear_maps

IMAGE = np.random.default_rng(3).random((112, 112))
FACE = np.random.default_rng(4).integers(0, 256, (112, 112, 3), dtype=np.uint8)
# an edge and a corner that noise alone would hide
FACE[20:60, 30:90] = (250, 10, 128)


def both_ways(matrix: Tensor, image: np.ndarray) -> np.ndarray:
    double = matrix.double().numpy()
    result: np.ndarray = double @ image @ double.T
    return result


def check_blur(sigma: float) -> None:
    ours = both_ways(linear_maps.blur_matrix(sigma), IMAGE)
    np.testing.assert_allclose(ours, ndimage.gaussian_filter(IMAGE, sigma, mode="nearest", truncate=4), atol=1e-6)


# 0.12, 0.13: no neighbour, the first one; 0.625, 1.125: four deviations end half-way between two pixels
@pytest.mark.parametrize("sigma", [0.05, 0.12, 0.13, 0.3, 0.5, 0.625, 1.0, 1.125, 1.2, 2.0, 8.0, 30.0, 56.0])
def test_blur_equals_scipy(sigma: float) -> None:
    check_blur(sigma)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 10))
def test_blur_equals_scipy_at_any_strength(sigma: float) -> None:
    check_blur(sigma)


def test_blur_of_nothing_changes_nothing() -> None:
    assert torch.equal(linear_maps.blur_matrix(0.0), torch.eye(112))


@pytest.mark.parametrize("pixels", [0, 1, 2, -3, 56, -111, 200])
def test_shift_repeats_the_border(pixels: int) -> None:
    column = torch.arange(112.0)
    places = np.clip(np.arange(112) - pixels, 0, 111)
    assert torch.equal(linear_maps.shift_matrix(pixels) @ column, column[torch.from_numpy(places)])


@pytest.mark.parametrize("side", [11, 37, 56, 57, 78, 84, 90, 106, 111])
def test_resize_equals_pillow_within_two_levels(side: int) -> None:
    small = Image.fromarray(FACE).resize((side, side), Image.Resampling.BILINEAR)
    oracle = np.asarray(small.resize((112, 112), Image.Resampling.BILINEAR)).astype(float)
    matrix = linear_maps.resize_matrix(side)
    ours = np.stack([both_ways(matrix, FACE[..., channel].astype(float)) for channel in range(3)], -1)
    assert np.abs(ours - oracle).max() <= 2
    # Pillow rounds twice, which makes half a level each time at most
    assert np.abs(ours - oracle).mean() < 0.5


def test_resize_to_the_same_side_changes_nothing() -> None:
    assert torch.equal(linear_maps.resize_matrix(112), torch.eye(112))


@pytest.mark.parametrize(
    "matrix",
    [linear_maps.blur_matrix(1.7), linear_maps.shift_matrix(5), linear_maps.resize_matrix(60)],
    ids=["blur", "shift", "resize"],
)
def test_flat_images_stay_flat(matrix: Tensor) -> None:
    assert (matrix >= 0).all()
    torch.testing.assert_close(matrix.sum(1), torch.ones(112))


class TestApply:
    IMAGES = torch.rand(3, 3, 112, 112, generator=torch.Generator().manual_seed(1))
    MAPS = torch.stack([linear_maps.blur_matrix(1.0), linear_maps.shift_matrix(4), linear_maps.resize_matrix(70)])

    def test_each_image_has_its_own_matrices(self) -> None:
        ours = linear_maps.apply(self.IMAGES, self.MAPS, self.MAPS.flip(0))
        for image, rows, columns, result in zip(self.IMAGES, self.MAPS, self.MAPS.flip(0), ours, strict=True):
            for channel in range(3):
                torch.testing.assert_close(result[channel], rows @ image[channel] @ columns.T)

    def test_first_matrix_moves_down_and_second_to_the_right(self) -> None:
        still, moved = (linear_maps.shift_matrix(pixels).expand(3, -1, -1) for pixels in (0, 2))
        down = linear_maps.apply(self.IMAGES, moved, still)
        right = linear_maps.apply(self.IMAGES, still, moved)
        assert torch.equal(down[..., 2:, :], self.IMAGES[..., :-2, :])
        assert torch.equal(right[..., 2:], self.IMAGES[..., :-2])

    def test_memory_format_does_not_matter(self) -> None:
        last = self.IMAGES.contiguous(memory_format=torch.channels_last)
        first = linear_maps.apply(self.IMAGES, self.MAPS, self.MAPS)
        assert torch.equal(linear_maps.apply(last, self.MAPS, self.MAPS), first)

    def test_gradient(self) -> None:
        images = self.IMAGES.double().requires_grad_()
        rows, columns = self.MAPS.double(), self.MAPS.flip(0).double()
        assert torch.autograd.gradcheck(lambda x: linear_maps.apply(x, rows, columns), images, fast_mode=True)


def test_matrices_first_made_in_inference_mode_pass_gradients_later() -> None:
    images = torch.rand(1, 3, 112, 112)
    with torch.inference_mode():
        made = [linear_maps.blur_matrix(3.21), linear_maps.shift_matrix(-31), linear_maps.resize_matrix(31)]
    for matrix in made:
        leaf = images.clone().requires_grad_()
        (slope,) = torch.autograd.grad(linear_maps.apply(leaf, matrix[None], matrix[None]).sum(), leaf)
        assert slope.sum().item() == pytest.approx(3 * 112**2, rel=1e-4)

"""Kernels against values by hand and scipy's convolution."""

from itertools import pairwise
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import convolve2d

from facemin.protection import Adam, Kernel, Sign
from facemin.protection.pmt import separable as linear_maps
from facemin.protection.pmt.gradient_kernel import LARGEST, Shape

GRADIENT = torch.randn(2, 3, 112, 112, generator=torch.Generator().manual_seed(0))


def test_gaussian_of_radius_one_by_hand() -> None:
    # sigma = 1 / sqrt(3): a neighbour weighs exp(-3/2) = 0.2231 of the centre
    kernel = np.outer(Kernel().weights, Kernel().weights)
    assert kernel.shape == (3, 3)
    assert kernel[1, 1] == pytest.approx(0.478, abs=5e-4)
    assert kernel[0, 1] == pytest.approx(0.107, abs=5e-4)
    assert kernel[0, 0] == pytest.approx(0.024, abs=5e-4)


def test_linear_by_hand() -> None:
    assert Kernel(shape="linear").weights == pytest.approx((1 / 4, 1 / 2, 1 / 4))
    assert Kernel(shape="linear", length=2).weights == pytest.approx((1 / 9, 2 / 9, 3 / 9, 2 / 9, 1 / 9))


@pytest.mark.parametrize("shape", get_args(Shape))
def test_length_one_as_a_side_changes_nothing(shape: Shape) -> None:
    kernel = Kernel(shape=shape, reading="side")
    assert kernel.weights == (1.0,)
    assert torch.equal(kernel.matrix, torch.eye(112))
    assert kernel == Kernel(shape=shape, length=1, reading="side")
    assert torch.equal(Kernel(shape=shape, length=0).matrix, torch.eye(112))


def test_both_readings_meet() -> None:
    assert Kernel(length=7, reading="side").weights == Kernel(length=3).weights


@given(st.sampled_from(get_args(Shape)), st.integers(0, LARGEST))
def test_weights_are_symmetric_fall_off_and_add_up_to_one(shape: Shape, length: int) -> None:
    weights = Kernel(shape=shape, length=length).weights
    assert len(weights) == 2 * length + 1
    assert weights == weights[::-1]
    assert sum(weights) == pytest.approx(1)
    falling = weights[length:]
    assert all(inner > outer > 0 for inner, outer in pairwise(falling))


@pytest.mark.parametrize(
    "kernel", [Kernel(), Kernel(shape="linear"), Kernel(length=5), Kernel(shape="linear", length=LARGEST)], ids=repr
)
def test_matrix_is_scipys_same_convolution(kernel: Kernel) -> None:
    matrix = kernel.matrix.expand(2, -1, -1)
    ours = linear_maps.apply(GRADIENT, matrix, matrix)
    whole = np.outer(kernel.weights, kernel.weights)
    oracle = np.stack([[convolve2d(plane, whole, mode="same") for plane in image] for image in GRADIENT[:, :1].numpy()])
    np.testing.assert_allclose(ours[:, :1].numpy(), oracle, atol=1e-5)


def test_rule_sees_the_smoothed_gradient() -> None:
    kernel = Kernel(length=2)
    matrix = kernel.matrix.expand(2, -1, -1)
    images = torch.full_like(GRADIENT, 0.5)
    kernel.smoothed(Sign(step=3)).update_(images, GRADIENT.clone(), (), torch.ones(2))
    smooth = linear_maps.apply(GRADIENT, matrix, matrix)
    torch.testing.assert_close(images, 0.5 - smooth.sign() * 3 / 255)
    assert (smooth.sign() != GRADIENT.sign()).any()


def test_rule_keeps_its_buffers() -> None:
    rule, kernel = Adam(), Kernel()
    matrix = kernel.matrix.expand(2, -1, -1)
    plain, smoothed = torch.full_like(GRADIENT, 0.5), torch.full_like(GRADIENT, 0.5)
    state, own = rule.buffers(plain), kernel.smoothed(rule).buffers(smoothed)
    assert [buffer.shape for buffer in own] == [buffer.shape for buffer in state]
    for number in (1.0, 2.0):
        rule.update_(plain, linear_maps.apply(GRADIENT, matrix, matrix), state, torch.full((2,), number))
        kernel.smoothed(rule).update_(smoothed, GRADIENT.clone(), own, torch.full((2,), number))
    torch.testing.assert_close(smoothed, plain)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"shape": "box"}, "shape: .*'box'"),
        ({"reading": "diameter"}, "reading: .*'diameter'"),
        ({"length": 1.5}, "length: .*integer.*1.5"),
        ({"length": 2, "reading": "side"}, "length: .*odd.*2"),
        ({"length": -1}, "length: .*0 to 55.*-1"),
        ({"length": -1, "reading": "side"}, "length: .*0 to 55.*-1"),
        ({"length": 56}, "length: .*0 to 55.*56"),
        ({"length": 113, "reading": "side"}, "length: .*0 to 55.*56"),
    ],
)
def test_refuses_settings_out_of_range(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"Kernel {words}"):
        Kernel(**settings)

"""Arrays as tensors and back, and the 8-bit grid."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from facemin.autograd.pixels import to_array, to_grid, to_tensor, to_unit


class TestGrid:
    def test_exact_inverse_on_the_grid(self) -> None:
        grid = torch.arange(256, dtype=torch.uint8)
        unit = to_unit(grid)
        assert unit.dtype == torch.float32
        assert (float(unit[0]), float(unit[255])) == (0.0, 1.0)
        assert torch.equal(to_grid(unit), grid)
        assert torch.equal(unit, torch.from_numpy((np.arange(256) / 255).astype(np.float32)))
        assert torch.equal(to_grid(unit.half()), grid)
        assert torch.equal(to_grid(unit.double()), grid)

    @given(hnp.arrays(np.float32, hnp.array_shapes(max_dims=4, max_side=6), elements=st.floats(0, 1, width=32)))
    def test_rounds_to_the_nearest_and_is_idempotent(self, values: NDArray[np.float32]) -> None:
        image = torch.from_numpy(values)
        found = to_grid(image)
        assert found.shape == image.shape
        assert (np.abs(found.numpy() - values.astype(np.float64) * 255) <= 0.5 + 1e-4).all()
        assert torch.equal(to_grid(to_unit(found)), found)
        assert torch.equal(image, torch.from_numpy(values))

    def test_halves_go_to_even(self) -> None:
        # 0.5 is the only float whose product with 255 is exactly a half: 127.5, whose even neighbour is 128.
        assert to_grid(torch.tensor([0.5])).item() == 128
        halves = torch.tensor([(k + 0.5) / 255 for k in range(255)], dtype=torch.float64)
        exact = (halves * 255 % 1) == 0.5
        assert exact.sum() > 100
        assert (to_grid(halves)[exact] % 2 == 0).all()

    def test_refuses(self) -> None:
        with pytest.raises(ValueError, match=r"pixels: expected uint8, got torch\.float32"):
            to_unit(torch.zeros(3))
        with pytest.raises(ValueError, match="got nan"):
            to_grid(torch.tensor([float("nan")]))
        assert to_grid(torch.empty(0)).shape == (0,)

    def test_a_tensor_with_gradients_is_only_read(self) -> None:
        image = torch.full((3, 2, 2), 0.25, requires_grad=True)
        assert (to_array(image) == 64).all()
        assert image.grad is None


class TestBridge:
    @pytest.mark.parametrize("shape", [(5, 4, 3), (2, 5, 4, 3)])
    def test_there_and_back(self, shape: tuple[int, ...]) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        tensor = to_tensor(pixels)
        assert tensor.shape == (*shape[:-3], 3, 5, 4)
        assert tensor.is_contiguous()
        assert int(tensor[..., 1, 4, 2].flatten()[0]) == int(pixels[..., 4, 2, 1].flatten()[0])
        assert np.array_equal(to_array(tensor), pixels)
        assert np.array_equal(to_array(to_unit(tensor)), pixels)

    def test_the_copy_is_its_own(self) -> None:
        pixels = np.zeros((2, 2, 3), np.uint8)
        to_tensor(pixels).fill_(9)
        assert pixels.max() == 0

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e-6, 1.0001])
    def test_what_is_no_image_is_refused(self, value: float) -> None:
        with pytest.raises(ValueError, match=r"image: expected values in \[0, 1\]"):
            to_array(torch.full((3, 2, 2), value))

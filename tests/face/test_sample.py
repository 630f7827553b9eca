"""Sampling: where the lattice is coarser by a whole number, each value is the exact mean of a block."""

import numpy as np
import pytest

from facemin.face.sample import Border, lattice, sample


@pytest.mark.parametrize("border", ["zero", "replicate"])
@pytest.mark.parametrize("factor", [2, 3, 7, 16])
def test_blocks_are_averaged_exactly(factor: int, border: Border) -> None:
    pixels = np.random.default_rng(factor).integers(0, 256, (9 * factor, 5 * factor, 3), dtype=np.uint8)
    middle = (factor - 1) / 2
    matrix = np.array([[factor, 0, middle], [0, factor, middle]], np.float64)
    sums = pixels.reshape(9, factor, 5, factor, 3).astype(np.int64).sum((1, 3))
    expected = sums.astype(np.float32) / np.float32(factor**2)
    assert np.array_equal(sample(pixels, matrix, lattice(9, 5), border=border), expected)


@pytest.mark.parametrize(("border", "outside"), [("zero", 0), ("replicate", 200)])
def test_a_block_that_the_image_does_not_fill_goes_on_as_its_border(border: Border, outside: int) -> None:
    pixels = np.full((4, 7, 3), 200, np.uint8)
    matrix = np.array([[4, 0, 1.5], [0, 4, 1.5]], np.float64)
    found = sample(pixels, matrix, lattice(1, 2), border=border)
    assert found[0, 0].tolist() == [200, 200, 200]
    assert found[0, 1].tolist() == [(3 * 200 + outside) / 4] * 3

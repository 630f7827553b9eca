"""Linear inversions fitted on the image itself: codes that they undo, and what fitting alone makes."""

import numpy as np
import pytest

from facemin.image import Pixels
from facemin.protection.revealing.linear_inversion import BLOCKS, Blocks, inverted_correlations
from facemin.protection.revealing.measures.image_planes import Planes, planes_of
from facemin.protection.revealing.measures.partial_correlation import remainders
from facemin.protection.revealing.resemblance import LIMITS
from tests.protection.revealing.pictures import blocks_of, grid, image_of, noise


def found(image: Pixels, face: Pixels) -> dict[str, float]:
    return inverted_correlations(planes_of(image)[:3], remainders(planes_of(face)))


def rotated(face: Pixels, side: int) -> Pixels:
    matrix = np.linalg.qr(np.random.default_rng(side).standard_normal((side**2, side**2)))[0]
    return image_of(blocks_of(face, side) @ matrix)


def tiled(image: Pixels, side: int) -> Pixels:
    """Every value of a block to a tile of its own."""
    parts = image.reshape(112 // side, side, 112 // side, side, 3)
    return np.ascontiguousarray(parts.transpose(1, 0, 3, 2, 4).reshape(112, 112, 3))


@pytest.mark.parametrize("blocks", BLOCKS, ids=lambda blocks: blocks.measure)
def test_undoes_a_secret_rotation_of_each_block(blocks: Blocks, face: Pixels) -> None:
    code = rotated(face, blocks.side)
    values = found(tiled(code, blocks.side) if blocks.tiled else code, face)
    assert values[blocks.measure] > LIMITS[blocks.measure]


@pytest.mark.parametrize("seed", range(4))
def test_fitting_makes_no_likeness_of_its_own(seed: int, face: Pixels) -> None:
    coarse = noise(seed).reshape(14, 8, 14, 8, 3)[:, 0, :, 0].repeat(8, 0).repeat(8, 1)
    for image in (noise(seed), coarse):
        assert all(value < LIMITS[measure] for measure, value in found(image, face).items())


def test_which_rotation_it_is_makes_no_difference(face: Pixels) -> None:
    """A ridge regression knows the values by their products alone."""
    plain, code = found(face, face), found(rotated(face, 8), face)
    measure = "correlation after inverting blocks of 8 px"
    assert code[measure] == pytest.approx(plain[measure], abs=0.05)


def test_flat_images_show_nothing(face: Pixels) -> None:
    flat: Planes = np.full((3, 112, 112), 128, np.float32)
    assert max(inverted_correlations(flat, remainders(planes_of(face))).values()) < 0.1
    assert max(found(grid(np.zeros((112, 112, 3))), face).values()) < 0.1

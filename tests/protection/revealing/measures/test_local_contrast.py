"""Local contrast: a face that shows in how strong blocks are, and in no sum of their pixels."""

from collections.abc import Callable

import numpy as np
import pytest

from facemin.image import Pixels
from facemin.protection.revealing.measures.image_planes import planes_of
from facemin.protection.revealing.measures.local_contrast import contrast_correlation
from facemin.protection.revealing.resemblance import LIMITS
from tests.protection.revealing.pictures import blocks_of, grid, image_of, noise

LIMIT = LIMITS["correlation of local contrast, 28 px"]


def found(image: Pixels, face: Pixels) -> float:
    return contrast_correlation(planes_of(image)[:4], planes_of(face)[3], LIMIT)


def own_rotations(face: Pixels) -> Pixels:
    """Another rotation of each block and colour."""
    generator = np.random.default_rng(0)
    blocks = blocks_of(face, 4)
    matrices = np.linalg.qr(generator.standard_normal((*blocks.shape[:3], 16, 16)))[0]
    return image_of((blocks[..., None, :] @ matrices)[..., 0, :])


CODES: dict[str, Callable[[Pixels], Pixels]] = {
    "as the strength of noise": lambda face: grid(
        127.5 + face / 2 * np.random.default_rng(0).uniform(-1, 1, face.shape)
    ),
    "another rotation of each block": own_rotations,
    "strength of edges": lambda face: grid(8 * np.hypot(*np.gradient(face.astype(float), axis=(0, 1)))),
    "the same, mirrored": lambda face: grid(8 * np.hypot(*np.gradient(face[:, ::-1].astype(float), axis=(0, 1)))),
}


@pytest.mark.parametrize("name", CODES)
def test_finds_the_face(name: str, face: Pixels) -> None:
    assert found(CODES[name](face), face) > LIMIT


def test_noise_and_flat_images_show_no_face(face: Pixels) -> None:
    assert found(noise(), face) < LIMIT
    assert found(np.full_like(face, 128), face) == 0

"""Images that tests of refusals are made of."""

import numpy as np
from numpy.typing import NDArray

from facemin.image import Pixels


def noise(seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (112, 112, 3), dtype=np.uint8)


def grid(image: NDArray[np.floating]) -> Pixels:
    return np.asarray(image.clip(0, 255).round(), np.uint8)


def blocks_of(image: Pixels, side: int) -> NDArray[np.floating]:
    """Values about mid-grey of each block and colour, (112 / side, 112 / side, 3, side^2)."""
    count = 112 // side
    parts = (image - 127.5).reshape(count, side, count, side, 3)
    return parts.transpose(0, 2, 4, 1, 3).reshape(count, count, 3, -1)


def image_of(blocks: NDArray[np.floating]) -> Pixels:
    """The image of `blocks_of`."""
    count, side = len(blocks), 112 // len(blocks)
    parts = blocks.reshape(count, count, 3, side, side).transpose(0, 3, 1, 4, 2)
    return grid(127.5 + parts.reshape(112, 112, 3))

"""A photo of noise."""

import numpy as np
import pytest

from facemin.image import Pixels


@pytest.fixture
def photo() -> Pixels:
    return np.random.default_rng(3).integers(0, 256, (240, 320, 3), dtype=np.uint8)

"""A face to look for."""

import pytest
from skimage import data

from facemin.face import Detector, align
from facemin.image import Pixels


@pytest.fixture(scope="package")
def face() -> Pixels:
    """The astronaut's face, (112, 112, 3)."""
    photo = data.astronaut().copy()
    crop: Pixels = align(photo, Detector(threads=1)(photo)[0].points[None])[0]
    return crop

"""One public-domain face, lit and turned otherwise in each photo, and a mask that was drawn."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from facemin.cloak.mask_file import Mask, Surrogate
from facemin.face import Detector, align
from facemin.image import Pixels
from facemin.models import Recogniser, load_recogniser


@pytest.fixture(scope="session")
def photo() -> Pixels:
    return np.ascontiguousarray(data.astronaut())


@pytest.fixture(scope="session")
def points(photo: Pixels) -> NDArray[np.float32]:
    return Detector(threads=1)(photo)[0].points[None]


@pytest.fixture(scope="session")
def portraits(photo: Pixels, points: NDArray[np.float32]) -> Pixels:
    """The face moved by a few pixels, mirrored and lit otherwise: (6, 112, 112, 3)."""
    shifts = np.random.default_rng(3).normal(0, 4, (6, 1, 2)).astype(np.float32)
    faces = np.concatenate([align(photo, points + shift) for shift in shifts])
    faces[1::2] = faces[1::2, :, ::-1]
    light = np.linspace(0.7, 1.1, 6)[:, None, None, None]
    return (faces * light).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def dlib() -> Recogniser:
    return load_recogniser("dlib-resnet29")


@pytest.fixture(scope="session")
def mask() -> Mask:
    change = np.random.default_rng(5).integers(-16, 17, (112, 112, 3)).astype(np.int8)
    return Mask.make(
        change,
        method="p3-mask",
        epsilon=16,
        photos=3,
        surrogates=[Surrogate(name="drawn", fingerprint="0" * 64)],
        created=datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.fixture
def mask_file(mask: Mask, tmp_path: Path) -> Path:
    file = tmp_path / "me.mask"
    mask.save(file)
    return file

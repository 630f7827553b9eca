"""A mask found in a photo where landmarks are off, after JPEG, and not found where it is not."""

from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facemin.cloak.lay import lay
from facemin.cloak.mask_file import Mask
from facemin.cloak.registration import SIGNIFICANT, register
from facemin.image import Pixels


@pytest.fixture(scope="module")
def smooth(mask: Mask) -> NDArray[np.int8]:
    """Detail of a few pixels, as fitted masks have it."""
    values = np.fft.rfft2(mask.change.astype(float), axes=(0, 1))
    values[20:-20] = 0
    values[:, 20:] = 0
    back = np.fft.irfft2(values, (112, 112), axes=(0, 1))
    levels: NDArray[np.int8] = np.rint(6 * back / back.std()).clip(-16, 16).astype(np.int8)
    return levels


@pytest.mark.parametrize("kind", ["smooth", "noise"])
def test_a_mask_is_found_where_landmarks_are_off(
    kind: str, photo: Pixels, points: NDArray[np.float32], mask: Mask, smooth: NDArray[np.int8]
) -> None:
    change = smooth if kind == "smooth" else mask.change
    cloaked = lay(photo, change[None], points)
    off = (points[0] - points[0].mean(0)) * 1.06 + points[0].mean(0) + [4, -5]
    found = register(cloaked, change, off)
    assert found.significance > 2 * SIGNIFICANT
    rest = lay(cloaked, change[None], found.points[None], remove=True).astype(int) - photo
    wrongly = lay(cloaked, change[None], off[None], remove=True).astype(int) - photo
    assert np.abs(rest).mean() < 0.1 * np.abs(cloaked.astype(int) - photo).mean() < 0.1 * np.abs(wrongly).mean()


def test_a_mask_is_found_after_jpeg(photo: Pixels, points: NDArray[np.float32], smooth: NDArray[np.int8]) -> None:
    file = BytesIO()
    Image.fromarray(lay(photo, smooth[None], points)).save(file, "JPEG", quality=75)
    lossy = np.asarray(Image.open(file))
    found = register(lossy, smooth, points[0] + 3)
    assert found.significance > SIGNIFICANT
    away = lay(lossy, smooth[None], found.points[None], remove=True).astype(int)
    exact = lay(lossy, smooth[None], points, remove=True).astype(int)
    assert np.abs(away - exact).mean() < 0.1


def test_a_mask_that_is_not_there_is_not_found(
    photo: Pixels, points: NDArray[np.float32], mask: Mask, smooth: NDArray[np.int8]
) -> None:
    assert register(photo, smooth, points[0]).significance < SIGNIFICANT
    other = lay(photo, mask.change[None, ::-1], points)
    assert register(other, smooth, points[0]).significance < SIGNIFICANT


def test_a_wrong_photo_is_named(points: NDArray[np.float32], mask: Mask) -> None:
    with pytest.raises(ValueError, match="pixels"):
        register(np.zeros((9, 9), np.uint8), mask.change, points[0])
    with pytest.raises(ValueError, match="points"):
        register(np.zeros((9, 9, 3), np.uint8), mask.change, points[0, :3])

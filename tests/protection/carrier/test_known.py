"""Known by the space of bases: carriers and bases are, photos of somebody are not."""

import io

import numpy as np
import pytest
from PIL import Image

from facemin.image import decode
from facemin.protection.carrier.base import base_of
from facemin.protection.carrier.components import CORNER, FRAME, PHOTO
from facemin.protection.carrier.known import FINE, OUTSIDE, fineness, is_carrier, outside


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return decode(file.getvalue()).pixels


def photo(number: int, side: int = FRAME) -> np.ndarray:
    pixels: np.ndarray = np.rint(255 * base_of(bytes([number] * 32)).at(side)).astype(np.uint8)
    return pixels


@pytest.mark.parametrize("number", range(6))
def test_bases_are_known_in_any_size_and_after_jpeg(number: int) -> None:
    for pixels in (photo(number), jpeg(photo(number), 75), photo(number, 300), photo(number, 1024)):
        assert outside(pixels) < OUTSIDE
        assert fineness(pixels) < FINE
        assert is_carrier(pixels)


def test_photos_are_not() -> None:
    data = pytest.importorskip("skimage.data")
    astronaut = Image.fromarray(data.astronaut())
    for box in ((0, 0, 512, 512), (90, 0, 346, 256), (150, 30, 300, 180)):
        assert not is_carrier(np.asarray(astronaut.crop(box).resize((512, 512), Image.Resampling.BICUBIC)))
    for name in ("cat", "coffee"):
        photo = Image.fromarray(getattr(data, name)()).resize((512, 512))
        assert not is_carrier(np.asarray(photo))


def test_each_half_of_the_check_counts() -> None:
    base = photo(1)
    # a grain in the background alone
    grain = base.copy()
    top = CORNER[1] * FRAME // PHOTO + 40
    grain[:top] = np.clip(grain[:top] + np.random.default_rng(0).normal(0, 6, (top, FRAME, 1)), 0, 255).astype(np.uint8)
    assert not is_carrier(grain)
    assert outside(grain) < OUTSIDE
    # a smooth picture that shows something else
    other = np.array(Image.fromarray(base).rotate(180))
    other = np.array(Image.fromarray(other).resize((24, 24)).resize((FRAME, FRAME), Image.Resampling.BICUBIC))
    assert fineness(other) < FINE
    assert not is_carrier(other)


def test_a_carrier_is_square() -> None:
    assert not is_carrier(photo(1)[:, 40:])

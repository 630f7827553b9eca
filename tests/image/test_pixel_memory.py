"""Memory of decoded pixels: kept within the block, by several at once, and given back at the end of the last."""

from collections.abc import Iterator

import pytest
from PIL import Image
from PIL import _imaging as pillow

from facemin.image import decode
from facemin.image.pixel_memory import BLOCKS, pixel_memory_kept
from tests.pictures import saved

PHOTO = saved(Image.new("RGB", (2400, 2000)), "JPEG")


def kept() -> int:
    """Blocks that Pillow holds for the next image."""
    found: int = pillow.get_stats()["blocks_cached"]
    return found


@pytest.fixture(autouse=True)
def nothing_kept_before() -> Iterator[None]:
    assert pillow.get_blocks_max() == 0
    yield
    assert (pillow.get_blocks_max(), kept()) == (0, 0)


def test_a_photo_leaves_its_memory_for_the_next() -> None:
    decode(PHOTO)
    assert kept() == 0
    with pixel_memory_kept():
        decode(PHOTO)
        assert kept() > 0
        reused = pillow.get_stats()["reused_blocks"]
        decode(PHOTO)
        assert pillow.get_stats()["reused_blocks"] > reused
        assert kept() <= BLOCKS


def test_it_is_kept_until_the_last_has_ended() -> None:
    first, second = pixel_memory_kept(), pixel_memory_kept()
    first.__enter__()
    second.__enter__()
    decode(PHOTO)
    first.__exit__(None, None, None)
    assert (pillow.get_blocks_max(), kept() > 0) == (BLOCKS, True)
    second.__exit__(None, None, None)
    assert kept() == 0


def test_more_that_was_kept_before_stays() -> None:
    pillow.set_blocks_max(BLOCKS + 3)
    try:
        with pixel_memory_kept():
            assert pillow.get_blocks_max() == BLOCKS + 3
        assert pillow.get_blocks_max() == BLOCKS + 3
    finally:
        pillow.set_blocks_max(0)

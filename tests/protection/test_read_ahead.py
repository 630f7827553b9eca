"""Read-ahead: the photos of a plain reading, in their order, the next one decoded before its turn."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from facemin.image import MAX_PIXELS, Photo, Pixels, encode
from facemin.protection.read_ahead import WORTH_A_THREAD, read_ahead, read_each
from tests.pictures import smooth


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Two large JPEGs, a small one and a PNG between them, and two that cannot be read."""
    side = int(WORTH_A_THREAD**0.5) + 8
    large = smooth(side, side)
    (tmp_path / "a.jpg").write_bytes(encode(large, format="JPEG", quality=60))
    (tmp_path / "b.jpg").write_bytes(encode(smooth(50, 40), format="JPEG"))
    (tmp_path / "c.png").write_bytes(encode(smooth(50, 40)))
    (tmp_path / "d.jpg").write_bytes(encode(large[::-1], format="JPEG", quality=60))
    (tmp_path / "e.jpg").write_bytes((tmp_path / "d.jpg").read_bytes()[:-500])
    return [tmp_path / name for name in ("a.jpg", "b.jpg", "e.jpg", "c.png", "missing.jpg", "d.jpg")]


def test_each_photo_is_that_of_a_plain_reading(photos: list[Path]) -> None:
    plain, ahead = (
        [(source, attempt(read)) for source, read in reader(iter(photos), max_pixels=MAX_PIXELS)]
        for reader in (read_each, read_ahead)
    )
    assert [source for source, _ in ahead] == photos
    for (_, expected), (_, found) in zip(plain, ahead, strict=True):
        if isinstance(found, Exception) or isinstance(expected, Exception):
            assert (type(found), str(found)) == (type(expected), str(expected))
        else:
            assert np.array_equal(found, expected)
    assert [isinstance(found, Exception) for _, found in ahead] == [False, False, True, False, True, False]


def attempt(read: Callable[[], Photo]) -> Pixels | Exception:
    """The pixels, or the error."""
    try:
        return read().pixels
    except (ValueError, OSError) as error:
        return error


def test_a_large_jpeg_is_read_before_its_turn(photos: list[Path]) -> None:
    first, last = photos[0], photos[-1]
    reader = read_ahead([first, last], max_pixels=MAX_PIXELS)
    next(reader)
    last.unlink()
    _, read = next(reader)
    assert read().pixels.shape[0] ** 2 > WORTH_A_THREAD


def test_one_photo_is_drawn_ahead(photos: list[Path]) -> None:
    drawn = []

    def counted() -> Iterator[Path]:
        for photo in photos:
            drawn.append(photo)
            yield photo

    reader = read_ahead(counted(), max_pixels=MAX_PIXELS)
    assert not drawn
    for number in range(1, len(photos) + 1):
        next(reader)
        assert len(drawn) == min(number + 1, len(photos))


def test_an_end_in_the_middle_leaves_no_thread(photos: list[Path]) -> None:
    reader = read_ahead([photos[0], photos[-1]] * 3, max_pixels=MAX_PIXELS)
    next(reader)
    reader.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("facemin-decode")]

"""A change laid over a photo at the photo's own resolution."""

import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from facemin.cloak.lay import lay
from facemin.cloak.mask_file import Mask
from facemin.face import TEMPLATE, align
from facemin.image import Pixels

lay_over = sys.modules["facemin.cloak.lay"]
SHIFTED = (TEMPLATE + np.array([30.0, 40.0]))[None]


def grey(height: int, width: int) -> Pixels:
    return np.full((height, width, 3), 100, np.uint8)


def test_at_scale_one_every_value_of_the_mask_arrives(mask: Mask) -> None:
    laid = lay(grey(240, 320), mask.change[None], SHIFTED)
    np.testing.assert_array_equal(laid[40:152, 30:142].astype(int) - 100, mask.change)
    laid[40:152, 30:142] = 100
    assert (laid == 100).all()


@pytest.mark.parametrize("scale", [0.3, 0.7, 1.9, 4.3])
@pytest.mark.parametrize("turned", [False, True])
def test_what_is_laid_is_what_aligning_reads(scale: float, turned: bool) -> None:
    wave = 60 * np.sin(np.arange(112) / 9)
    change = np.rint(wave[:, None, None] * np.sin(np.arange(112) / 7)[:, None] * np.ones(3)).astype(np.int16)
    turn = np.array([[0.9, -0.4359], [0.4359, 0.9]]) if turned else np.eye(2)
    points = ((TEMPLATE - 56) @ turn.T * scale + 56 * scale + 150)[None]
    side = int(112 * scale + 300)
    read = align(lay(grey(side, side), change[None], points), points)[0].astype(int) - 100
    assert np.abs(read - change)[4:-4, 4:-4].max() <= (4 if scale >= 0.7 else 9)


def test_removing_gives_the_photo_back_where_nothing_was_clipped(photo: Pixels, points: NDArray[np.float32]) -> None:
    change = np.random.default_rng(2).integers(-16, 17, (1, 112, 112, 3)).astype(np.int8)
    cloaked = lay(photo, change, points)
    clipped = (cloaked == 0) | (cloaked == 255)
    back = lay(cloaked, change, points, remove=True)
    np.testing.assert_array_equal(back[~clipped], photo[~clipped])
    assert (cloaked != photo).any()


def test_large_changes_and_small_ones_are_read_alike(monkeypatch: pytest.MonkeyPatch, mask: Mask) -> None:
    points = ((TEMPLATE - 56) * 2.7 + 250)[None]
    by_pillow = lay(grey(500, 500), mask.change[None], points).astype(int)
    monkeypatch.setattr(lay_over, "_by_pillow", lay_over._by_sample)
    assert np.abs(lay(grey(500, 500), mask.change[None], points) - by_pillow).max() <= 1


def test_a_tall_photo_is_done_in_strips_that_fit_together(monkeypatch: pytest.MonkeyPatch, mask: Mask) -> None:
    points = ((TEMPLATE - 56) * 3.3 + 300)[None]
    whole = lay(grey(600, 600), mask.change[None], points)
    monkeypatch.setattr(lay_over, "_STRIP", 4000)
    np.testing.assert_array_equal(lay(grey(600, 600), mask.change[None], points), whole)


def test_refuses_another_number_of_changes_than_faces(mask: Mask, photo: Pixels) -> None:
    with pytest.raises(ValueError, match="changes: expected"):
        lay(photo, mask.change[None], np.concatenate([SHIFTED, SHIFTED]))

"""Pasting faces back where they were cut out."""

import sys

import numpy as np
import pytest

from facemin.face import SIDE, TEMPLATE, align, align_unrounded, paste, similarity
from facemin.image import Pixels
from tests.face.landmarks import landmarks


class TestPaste:
    def test_at_scale_one_the_face_comes_back_bit_by_bit(self, photo: Pixels) -> None:
        face = np.random.default_rng(1).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)
        points = (TEMPLATE + np.array([30.0, 40.0]))[None]
        pasted = paste(photo, face, points)
        np.testing.assert_array_equal(align(pasted, points), face)
        pasted[40:152, 30:142] = photo[40:152, 30:142]
        np.testing.assert_array_equal(pasted, photo)

    @pytest.mark.parametrize(("scale", "close"), [(1.0, 0.012), (2.6, 0.012), (0.5, 0.02)])
    def test_a_turned_smooth_face_comes_back(self, scale: float, close: float) -> None:
        wave = np.sin(np.arange(SIDE) / 9)
        grey = np.rint(255 * (0.5 + 0.4 * wave[:, None] * wave)).astype(np.uint8)
        face = np.broadcast_to(grey[..., None], (1, SIDE, SIDE, 3))
        points = landmarks(scale, 17, 300, 300)
        back = align_unrounded(paste(np.zeros((600, 600, 3), np.uint8), face, points), points)
        # The outermost pixels blend with the photo around.
        assert np.abs(back - face / 255)[:, 3:-3, 3:-3].max() < close

    def test_changes_only_pixels_within_the_crop(self, photo: Pixels) -> None:
        points = landmarks(0.7, 30, 150, 100)
        white = np.full((1, SIDE, SIDE, 3), 255, np.uint8)
        changed = paste(np.full_like(photo, 9), white, points)[..., 0] == 255
        y, x = np.mgrid[:240, :320]
        matrix = similarity(points)[0]
        u, v = np.tensordot(matrix[:, :2], np.stack((x, y)).astype(float), 1) + matrix[:, 2][:, None, None]
        expected = (u >= -0.5) & (u < SIDE - 0.5) & (v >= -0.5) & (v < SIDE - 0.5)
        assert np.array_equal(changed, expected)

    def test_a_small_face_is_averaged_rather_than_thinned(self) -> None:
        stripes = np.broadcast_to((np.arange(SIDE) % 2 * 255).astype(np.uint8)[:, None], (1, SIDE, SIDE, 3))
        pasted = paste(np.full((60, 60, 3), 128, np.uint8), stripes, landmarks(0.25, 0, 30, 30))
        assert np.abs(pasted.astype(int) - 128).max() <= 1

    def test_the_later_face_lies_on_top_and_the_input_is_untouched(self, photo: Pixels) -> None:
        before = photo.copy()
        faces = np.stack([np.full((SIDE, SIDE, 3), level, np.uint8) for level in (0, 255)])
        points = np.concatenate((landmarks(1, 0, 150, 120), landmarks(0.5, 0, 150, 120)))
        pasted = paste(photo, faces, points)
        assert pasted[120, 150].tolist() == [255, 255, 255]
        assert pasted[120, 100].tolist() == [0, 0, 0]
        np.testing.assert_array_equal(photo, before)

    @pytest.mark.parametrize("scale", [1.4, 0.7, 0.4, 0.2])
    def test_strips_leave_no_seam(self, photo: Pixels, monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
        face = np.random.default_rng(2).integers(0, 256, (1, SIDE, SIDE, 3), dtype=np.uint8)
        points = landmarks(scale, 21, 150, 110)
        whole = paste(photo, face, points)
        # By name, `facemin.face.paste` is the function, which hides its module.
        monkeypatch.setattr(sys.modules["facemin.face.paste"], "_STRIP", 1000)
        difference = np.abs(paste(photo, face, points).astype(int) - whole)
        # float32 weights differ in the last place, so a value at a rounding's edge may fall either way.
        assert difference.max() <= 1
        assert (difference > 0).mean() < 1e-3

    def test_refuses_another_number_of_faces(self, photo: Pixels) -> None:
        with pytest.raises(ValueError, match=r"uint8 of shape \(1, 112, 112, 3\), got uint8 \(2, 112, 112, 3\)"):
            paste(photo, np.zeros((2, SIDE, SIDE, 3), np.uint8), TEMPLATE[None])
        with pytest.raises(ValueError, match=r"expected uint8 of shape .*, got float64"):
            paste(photo, np.zeros((1, SIDE, SIDE, 3)), TEMPLATE[None])  # type: ignore[arg-type]

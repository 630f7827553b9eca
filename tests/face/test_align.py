"""Aligning, checked against scikit-image and SciPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import map_coordinates
from skimage.transform import SimilarityTransform

from facemin.face import SIDE, TEMPLATE, align, align_unrounded, inside, inverse, similarity
from facemin.face.sample import Border, Doubles
from facemin.image import Pixels
from tests.face.landmarks import landmarks


class TestSimilarity:
    def test_the_template_itself_needs_no_change(self) -> None:
        np.testing.assert_allclose(similarity(TEMPLATE[None]), [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]], atol=1e-12)

    def test_a_face_twice_as_large_and_shifted_is_halved_and_brought_back(self) -> None:
        points = 2 * TEMPLATE + np.array([10.0, 20.0])
        np.testing.assert_allclose(similarity(points[None]), [[[0.5, 0, -5], [0, 0.5, -10]]], atol=1e-12)

    @given(arrays(np.float64, (5, 2), elements=st.floats(-500, 5000, width=32)))
    @settings(max_examples=60, deadline=None)
    def test_equals_scikit_image(self, points: np.ndarray) -> None:
        if np.linalg.matrix_rank(points - points.mean(0), tol=1.0) < 2:
            return
        found = SimilarityTransform.from_estimate(points, TEMPLATE)
        ours = similarity(points[None])[0]
        error = ours @ np.c_[points, np.ones(5)].T - found.params[:2] @ np.c_[points, np.ones(5)].T
        assert np.abs(error).max() < 1e-6

    def test_the_inverse_composes_to_the_identity(self) -> None:
        points = np.concatenate([landmarks(0.2, 170, 5, 9), landmarks(1, -33, 100, 80), landmarks(40, 12, 4e3, 3e3)])
        matrices = similarity(points)
        bottom = np.broadcast_to([[[0.0, 0, 1]]], (3, 1, 3))
        both = np.concatenate((matrices, bottom), 1) @ np.concatenate((inverse(matrices), bottom), 1)
        assert np.abs(both - np.eye(3)).max() < 1e-9

    @pytest.mark.parametrize(
        "points",
        [
            np.zeros((1, 5, 2)),
            np.full((1, 5, 2), 1234.5),
            np.full((1, 5, 2), np.nan),
            np.concatenate((TEMPLATE[:4], [[np.inf, 0]]))[None],
        ],
        ids=["zero", "equal", "nan", "infinite"],
    )
    def test_refuses_points_that_fix_nothing(self, points: Doubles) -> None:
        with pytest.raises(ValueError, match=r"points\[0\]: expected five finite landmarks"):
            similarity(points)

    @pytest.mark.parametrize("shape", [(5, 2), (1, 2, 5), (1, 4, 2)])
    def test_refuses_a_wrong_shape(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match=r"expected an array \(N, 5, 2\)"):
            similarity(np.ones(shape))


class TestAlign:
    @pytest.mark.parametrize(("border", "mode"), [("zero", "grid-constant"), ("replicate", "nearest")])
    @pytest.mark.parametrize(
        "points",
        [
            landmarks(1, 0, 150, 120),
            landmarks(1.3, 25, 150, 120),
            landmarks(0.4, -80, 100, 100),
            landmarks(1.9, 5, 10, 230),  # over the left and lower edge
        ],
        ids=["plain", "turned", "enlarged", "edge"],
    )
    def test_equals_scipy_up_to_a_shrinking_of_two(
        self, photo: Pixels, points: Doubles, border: Border, mode: str
    ) -> None:
        matrix = inverse(similarity(points))[0]
        y, x = np.mgrid[:SIDE, :SIDE]
        places = np.tensordot(matrix[:, :2], np.stack((x, y)).astype(float), 1) + matrix[:, 2][:, None, None]
        expected = [
            map_coordinates(channel.astype(float), places[::-1], order=1, mode=mode)
            for channel in photo.transpose(2, 0, 1)
        ]
        ours = align_unrounded(photo, points, border=border)[0]
        assert np.abs(ours - np.stack(expected, -1) / 255).max() < 1e-6
        assert np.abs(align(photo, points, border=border)[0] - np.stack(expected, -1)).max() < 0.501

    def test_a_crop_at_scale_one_on_whole_pixels_is_the_photo_itself(self, photo: Pixels) -> None:
        crop = align(photo, (TEMPLATE + np.array([30.0, 40.0]))[None])[0]
        np.testing.assert_array_equal(crop, photo[40:152, 30:142])

    @pytest.mark.parametrize("scale", [2.0, 3.7, 6.2])
    def test_a_ramp_stays_the_ramp_when_shrunk(self, scale: float) -> None:
        ramp = np.broadcast_to(np.rint(np.arange(800) * 0.25).astype(np.uint8)[:, None], (800, 800, 3))
        points = landmarks(scale, 0, 400, 400)
        matrix = inverse(similarity(points))[0]
        expected = (matrix[0, 0] * np.arange(SIDE) + matrix[0, 2]) * 0.25 / 255
        assert np.abs(align_unrounded(ramp, points)[0] - expected[:, None]).max() < 0.75 / 255

    def test_fine_stripes_become_grey_rather_than_moire(self) -> None:
        stripes = np.broadcast_to((np.arange(900) % 2 * 255).astype(np.uint8)[:, None], (900, 900, 3))
        assert np.abs(align_unrounded(stripes, landmarks(4.3, 0, 450, 450)) - 0.5).max() < 1e-3

    def test_each_face_is_its_own(self, photo: Pixels) -> None:
        points = np.concatenate([landmarks(1, 3, 100, 90), landmarks(2.4, 40, 160, 120), landmarks(0.3, 0, 3, 3)])
        together = align(photo, points)
        alone = np.concatenate([align(photo, one[None]) for one in points])
        np.testing.assert_array_equal(together, alone)

    def test_stays_in_range_and_leaves_the_photo_alone(self, photo: Pixels) -> None:
        before = photo.copy()
        crop = align_unrounded(photo, landmarks(2.2, 10, 160, 120), border="replicate")
        assert crop.dtype == np.float32
        assert crop.min() >= 0
        assert crop.max() <= 1
        np.testing.assert_array_equal(photo, before)

    def test_a_face_outside_the_photo_is_its_border(self) -> None:
        white = np.full((50, 50, 3), 255, np.uint8)
        far = landmarks(1, 0, 5000, -5000)
        assert align(white, far).max() == 0
        assert align(white, far, border="replicate").min() == 255

    def test_no_points_no_faces(self, photo: Pixels) -> None:
        assert align(photo, np.empty((0, 5, 2))).shape == (0, SIDE, SIDE, 3)

    @pytest.mark.parametrize(
        "pixels",
        [np.zeros((9, 9, 3)), np.zeros((9, 9, 4), np.uint8), np.zeros((0, 9, 3), np.uint8), [[[0, 0, 0]]]],
        ids=["float", "alpha", "empty", "list"],
    )
    def test_refuses_what_is_no_photo(self, pixels: Pixels) -> None:
        with pytest.raises(ValueError, match="pixels: expected a uint8 RGB photo"):
            align(pixels, TEMPLATE[None])

    def test_refuses_an_unknown_border(self, photo: Pixels) -> None:
        with pytest.raises(ValueError, match="border: expected 'zero' or 'replicate', got 'mirror'"):
            align(photo, TEMPLATE[None], border="mirror")  # type: ignore[arg-type]


class TestInside:
    def test_shares_counted_by_hand(self) -> None:
        points = np.stack([TEMPLATE, TEMPLATE - 56, TEMPLATE + 1000])
        assert inside(points, SIDE, SIDE).tolist() == [1.0, 0.25, 0.0]
        assert inside(TEMPLATE[None], 28, SIDE).tolist() == [0.25]

    def test_no_points_give_no_answers(self) -> None:
        assert inside(np.empty((0, 5, 2)), 10, 10).shape == (0,)

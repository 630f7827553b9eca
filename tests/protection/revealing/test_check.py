"""Refusal of results that show the plain face: what is found, what passes, and that nothing is written."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper
from skimage import data

import facemin
from facemin.image import Pixels, encode
from facemin.keys.default import default_key, plain_key
from facemin.keys.key import Key, export_key
from facemin.models import MODELS, SPACE_MODEL, Recogniser, load_recogniser
from facemin.models.calibration import shipped_calibration
from facemin.protection import (
    PMT,
    PROTECTORS,
    Compute,
    Failure,
    RevealingKey,
    RevealingWarning,
    check_revealing,
    protect_photos,
)
from facemin.protection.folder.job import FolderJob
from facemin.protection.folder.run import plan, protect_into
from facemin.protection.revealing.check import (
    JUDGE,
    JUDGED_FROM,
    is_of_default_recogniser,
    judged_cosine,
    strongest_likeness,
)
from facemin.protection.revealing.feature_inversion import check_revealing_feature, drawn_faces
from facemin.protection.revealing.resemblance import LIMITS, likenesses, mean_face
from facemin.protection.upload import feature_of
from facemin.runtime.errors import FaceminError
from tests.foreign_keys import average_key, foreign, identity_key, plane_key, secret_convolution
from tests.protection.revealing.pictures import blocks_of, grid, image_of, noise

QUICK = PMT(steps=40)


def averaged(image: Pixels, count: int) -> Pixels:
    small = image.reshape(112 // count, count, 112 // count, count, 3).mean((1, 3))
    return grid(small.repeat(count, 0).repeat(count, 1))


def hidden(image: Pixels, side: int) -> Pixels:
    """Small, in a corner of noise."""
    count = 112 // side
    canvas = noise(1)
    canvas[4 : 4 + side, 108 - side : 108] = image.reshape(side, count, side, count, 3).mean((1, 3)).round()
    return canvas


def tiled(image: Pixels, count: int) -> Pixels:
    """Every count-th pixel to a tile of its own."""
    pieces = image.reshape(112 // count, count, 112 // count, count, 3)
    return pieces.transpose(1, 0, 3, 2, 4).reshape(112, 112, 3)


def one_plane(image: Pixels, plane: int) -> Pixels:
    made = noise(2)
    made[..., plane] = image[..., plane]
    return made


def shuffled(image: Pixels) -> Pixels:
    return np.random.default_rng(0).permutation(image.reshape(-1, 3))


def rotation(size: int) -> NDArray[np.floating]:
    return np.asarray(np.linalg.qr(np.random.default_rng(0).standard_normal((size, size)))[0])


def signed_blocks(image: Pixels) -> Pixels:
    generator = np.random.default_rng(0)
    blocks = generator.permutation(blocks_of(image, 8).reshape(196, -1))
    return image_of((blocks * generator.choice([-1, 1], (196, 1))).reshape(14, 14, 3, 64))


SIGNS = np.where(np.add.outer(np.arange(112), np.arange(112)) % 2, 1, -1)[..., None]

SHOWN: dict[str, Callable[[Pixels], NDArray[np.generic]]] = {
    "identity": lambda face: face,
    "average of 2": lambda face: averaged(face, 2),
    "average of 4": lambda face: averaged(face, 4),
    "average of 8": lambda face: averaged(face, 8),
    "average of 8 under noise": lambda face: grid(
        averaged(face, 8) + np.random.default_rng(0).normal(0, 50, face.shape)
    ),
    "mirrored": lambda face: face[:, ::-1],
    "inverted": lambda face: 255 - face,
    "upside down": lambda face: face[::-1],
    "on its side": lambda face: np.rot90(face),
    "turned by 180 degrees": lambda face: np.rot90(face, 2),
    "other order of colours": lambda face: face[..., [1, 2, 0]],
    "red alone": lambda face: one_plane(face, 0),
    "green alone": lambda face: one_plane(face, 1),
    "blue alone": lambda face: one_plane(face, 2),
    "in a corner": lambda face: hidden(face, 56),
    "small, upside down and inverted in a corner": lambda face: hidden(255 - face[::-1], 56),
    "sub-pixels of 2": lambda face: tiled(face, 2),
    "sub-pixels of 4": lambda face: tiled(face, 4),
    "sub-pixels of 8": lambda face: tiled(face, 8),
    "pieces of 28 px": lambda face: tiled(face, 28),
    "pixels in a secret order": lambda face: np.random.default_rng(0).permutation(face.reshape(-1, 3)),
    "pixels in a secret order, greys halved": lambda face: shuffled(face) // 2,
    "pixels in a secret order, inverted and lightened": lambda face: grid(100 + (255.0 - shuffled(face)) / 2),
    "pixels in a secret order, each colour its own, an eighth": lambda face: grid(
        np.random.default_rng(0).permuted(face.reshape(-1, 3), axis=0) / 8
    ),
    "pixels in a secret order, a curve": lambda face: grid(255 * (shuffled(face) / 255) ** 0.7),
    "pixels in a secret order, a little noise": lambda face: grid(
        shuffled(face) + np.random.default_rng(1).normal(0, 5, face.reshape(-1, 3).shape)
    ),
    "one colour's pixels in a secret order, halved": lambda face: np.dstack(
        [shuffled(face).reshape(face.shape)[..., 1] // 2, noise(7)[..., :2]]
    ),
    "every second row": lambda face: np.where((np.arange(112) % 2)[:, None, None], face, noise(3)),
    "chequered signs": lambda face: grid(127.5 + (face - 127.5) * SIGNS),
    "signs by chance": lambda face: grid(127.5 + (face - 127.5) * np.random.default_rng(0).choice([-1, 1], face.shape)),
    "solarised": lambda face: np.where(face > 127, 255 - face, face) * 2,
    "in the low bits": lambda face: (noise(4) & 0xF0) | (face >> 4),
    "planes for rows": lambda face: face.transpose(2, 0, 1),
    "faint": lambda face: grid(128 + 0.1 * (face - 128.0) + np.random.default_rng(0).normal(0, 5, face.shape)),
    "under noise": lambda face: grid(face + np.random.default_rng(0).normal(0, 80, face.shape)),
    "blended with noise": lambda face: grid(0.4 * face + 0.6 * noise(5)),
    "faint, under a picture of noise": lambda face: grid(0.2 * face + 0.8 * noise(8)),
    "blocks in a secret order, signs by chance": lambda face: signed_blocks(face),
    "one secret rotation of each 8 x 8 block": lambda face: image_of(blocks_of(face, 8) @ rotation(64)),
    "one secret rotation of each 8 x 8 block, on its side": lambda face: image_of(
        blocks_of(np.rot90(face), 8) @ rotation(64)
    ),
    "one secret rotation of each 14 x 14 block": lambda face: image_of(blocks_of(face, 14) @ rotation(196)),
    "strength of edges": lambda face: grid(8 * np.hypot(*np.gradient(face.astype(float), axis=(0, 1)))),
    "half of it": lambda face: np.where((np.arange(112) < 56)[:, None, None], face, noise(6)),
    "shifted": lambda face: np.roll(face, (10, -10), (0, 1)),
}


@pytest.mark.parametrize("name", SHOWN)
def test_finds_the_face(name: str, face: Pixels) -> None:
    image = np.ascontiguousarray(SHOWN[name](face).reshape(112, 112, 3).astype(np.uint8))
    assert likenesses(image, face)[0].share >= 1


PASSES: dict[str, Callable[[Pixels], Pixels]] = {
    "noise": lambda face: noise(),
    "grey": lambda face: np.full_like(face, 128),
    "black": lambda face: np.zeros_like(face),
    "its mean colour": lambda face: grid(np.broadcast_to(face.mean((0, 1)), face.shape)),
    "the mean face": lambda face: mean_face(),
    "the mean face, mirrored": lambda face: np.ascontiguousarray(mean_face()[:, ::-1]),
    "the mean face under noise": lambda face: grid(mean_face() + np.random.default_rng(0).normal(0, 30, face.shape)),
    "coarse noise": lambda face: noise().reshape(14, 8, 14, 8, 3)[:, 0, :, 0].repeat(8, 0).repeat(8, 1),
    "smooth light": lambda face: grid(np.broadcast_to(np.linspace(0, 255, 112)[:, None, None], face.shape)),
}


@pytest.mark.parametrize("name", PASSES)
def test_images_without_the_face_pass(name: str, face: Pixels) -> None:
    strongest = likenesses(np.ascontiguousarray(PASSES[name](face)), face)[0]
    assert strongest.share < 1, strongest


def test_faces_of_other_people_pass(face: Pixels) -> None:
    for drawn in drawn_faces(4, seed=5):
        stranger = np.ascontiguousarray(grid(255.0 * np.moveaxis(drawn, 0, -1)))
        assert likenesses(stranger, face)[0].share < 1


def test_every_limit_is_of_a_measure(face: Pixels) -> None:
    assert {each.measure for each in likenesses(noise(), face)} == set(LIMITS)


def test_limits_may_be_others(face: Pixels) -> None:
    strict = dict.fromkeys(LIMITS, 1e-3)
    assert likenesses(noise(), face)[0].share < 1 < likenesses(noise(), face, limits=strict)[0].share


@pytest.mark.parametrize("shape", [(3, 112, 112), (112, 112), (111, 112, 3)])
def test_refuses_other_shapes(shape: tuple[int, ...], face: Pixels) -> None:
    with pytest.raises(ValueError, match=r"pixels: expected uint8 \(112, 112, 3\)"):
        likenesses(np.zeros(shape, np.uint8), face)
    with pytest.raises(ValueError, match="float32"):
        likenesses(np.zeros((112, 112, 3), np.float32), face)


HOSTILE: dict[str, Callable[[], Key]] = {
    "identity and pool": identity_key,
    "average of 2": lambda: average_key(2),
    "average of 8": lambda: average_key(8),
    "green": plane_key,
    "a secret convolution's strength": lambda: secret_convolution(4, 48, absolute=True),
    "dlib's conv7": lambda: export_key(load_recogniser("dlib-resnet29"), "conv7", provider="x", residual=0.2),
}


@pytest.fixture(scope="module")
def photo() -> bytes:
    return encode(data.astronaut().copy())


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_key_is_refused_by_name(name: str, photo: bytes) -> None:
    key = HOSTILE[name]()
    with pytest.raises(RevealingKey, match=key.manifest.key_id) as caught:
        facemin.protect(photo, keys=[key], method=QUICK, seed=0, secret=None)
    assert caught.value.found.keys == (key.manifest.key_id,)
    assert isinstance(caught.value, FaceminError)


def test_a_folder_gets_no_file_of_it(photo: bytes, tmp_path: Path) -> None:
    source = tmp_path / "me.png"
    source.write_bytes(photo)
    job = FolderJob(out=tmp_path / "out", keys=[identity_key()], method=QUICK, seed=0, paste=True, secret=None)
    (failure,) = protect_into(plan([source], job), job)
    assert isinstance(failure, Failure)
    assert failure.revealing is not None
    assert "shows it" in failure.reason
    assert not list(tmp_path.glob("out/**/*"))


def test_research_may_keep_it_and_is_told(photo: bytes, tmp_path: Path) -> None:
    source = tmp_path / "me.png"
    source.write_bytes(photo)
    key = identity_key()
    with pytest.warns(RevealingWarning, match="shows"):
        out = facemin.protect(photo, keys=[key], method=QUICK, seed=0, allow_revealing=True, secret=None)
    assert out.faces[0].revealing is not None
    job = FolderJob(out=tmp_path / "out", keys=[key], method=QUICK, seed=0, allow_revealing=True, secret=None)
    with pytest.warns(RevealingWarning):
        list(protect_into(plan([source], job), job))
    record = json.loads((tmp_path / "out" / "me.protected.json").read_text())
    assert key.manifest.key_id in record["faces"][0]["revealing"]
    # and what was allowed once is not taken for done where it is not
    strict = FolderJob(out=tmp_path / "out", keys=[key], method=QUICK, seed=0, secret=None)
    assert plan([source], strict).todo


def test_two_keys_of_which_one_shows_it(photo: bytes, dlib_keys: dict[str, Key]) -> None:
    keys = [dlib_keys["conv256.3"], identity_key()]
    (failure,) = protect_photos([photo], keys=keys, method=PMT(steps=30), seed=0, secret=None, compute=Compute(batch=2))
    assert isinstance(failure, Failure)
    assert all(key.manifest.key_id in failure.reason for key in keys)


class TestDefaultRecogniser:
    """It judges what is not built on it."""

    def test_its_own_cuts_are_its_own(self) -> None:
        recogniser = load_recogniser("dlib-resnet29")
        for cut, layers in (("pooled", ()), ("conv32.1", ("conv7",))):
            assert is_of_default_recogniser(export_key(recogniser, cut, layers=layers, provider="x", residual=0.2))

    def test_its_space_is_its_own(self) -> None:
        assert is_of_default_recogniser(default_key())

    def test_other_graphs_and_other_weights_are_not(self) -> None:
        assert not is_of_default_recogniser(identity_key())
        recogniser = load_recogniser("dlib-resnet29")
        graph = ModelProto()
        graph.CopyFrom(recogniser.graph)
        weight = max(graph.graph.initializer, key=lambda tensor: len(tensor.raw_data))
        weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * 1.001, weight.name))
        tuned = Recogniser(graph, name="dlib-resnet29", cuts=("conv7", "pooled"))
        assert not is_of_default_recogniser(export_key(tuned, "pooled", provider="x", residual=0.2))

    def test_refuses_what_it_recognises(self, photo: bytes, face: Pixels) -> None:
        own = export_key(load_recogniser("dlib-resnet29"), "pooled", provider="x", residual=0.07)
        done = facemin.protect(photo, keys=[own], seed=0, method=PMT(steps=60), secret=None)
        pixels = done.faces[0].pixels
        assert check_revealing(pixels, face, [own]) is None
        found = check_revealing(pixels, face, [average_key(2)])
        assert found is not None
        assert "dlib-resnet29" in found.measure
        assert check_revealing(noise(), face, [average_key(2)]) is None

    @pytest.mark.parametrize("name", ["mobilefacenet-ms1m-arcface", "mobilefacenet-casia-arcface-b"])
    def test_an_honest_key_of_another_network_passes(self, name: str, photo: bytes, shared: Path) -> None:
        recogniser = load_recogniser(str(shared / "models" / f"{name}.onnx"))
        key = export_key(recogniser, "embedding", provider="x", residual=0.12)
        done = facemin.protect(photo, keys=[key], seed=0, method=replace(PROTECTORS["robust"], steps=40), secret=None)
        assert done.faces[0].revealing is None

    def test_judges_more_strictly_than_it_recognises(self, face: Pixels) -> None:
        """The person behind a heavy blur is known, and is no finding of the judge's; the photo itself is."""
        threshold = shipped_calibration(MODELS[SPACE_MODEL].graph()).thresholds[0].threshold  # type: ignore[union-attr]
        assert threshold < JUDGED_FROM
        assert judged_cosine(face, face) == pytest.approx(1)
        small = averaged(face, 7)
        assert judged_cosine(small, face) < JUDGED_FROM
        assert judged_cosine(noise(), face) < threshold

    def test_strongest_likeness_says_how_near_a_result_came(self, face: Pixels) -> None:
        key = identity_key()
        own = plain_key()
        assert strongest_likeness(noise(), face, [key]).share < 1 <= strongest_likeness(face, face, [key]).share
        # what only the judge could find is not looked for in its own keys' images
        assert strongest_likeness(noise(), face, [own]).measure != JUDGE


class TestFeatures:
    """What is uploaded instead of an image."""

    @pytest.mark.parametrize("count", [2, 4, 8])
    def test_averages_are_refused(self, count: int, face: Pixels) -> None:
        key = average_key(count)
        feature = feature_of(torch.from_numpy(face).permute(2, 0, 1), key).numpy()
        found = check_revealing_feature(feature, face, key)
        assert found is not None
        by_dimension = "values in the feature" in found.measure
        assert by_dimension == (feature.size >= 9408)
        assert by_dimension or "leaves out" in found.measure

    @pytest.mark.parametrize(("cut", "refused"), [("conv64.4", True), ("conv128.1", True), ("conv256.1", False)])
    def test_early_layers_are_refused_and_late_ones_pass(self, cut: str, refused: bool, face: Pixels) -> None:
        key = export_key(load_recogniser("dlib-resnet29"), cut, provider="x", residual=0.2)
        feature = np.zeros(key.manifest.features, np.float32)
        found = check_revealing_feature(feature, face, key)
        assert (found is not None) == refused

    def test_a_secret_matrix_hides_nothing(self, face: Pixels) -> None:
        matrix = np.random.default_rng(0).standard_normal((588, 588)).astype(np.float32)
        nodes = [
            helper.make_node("AveragePool", ["faces"], ["mean"], kernel_shape=[8, 8], strides=[8, 8]),
            helper.make_node("Flatten", ["mean"], ["flat"], axis=1),
            helper.make_node("MatMul", ["flat", "matrix"], ["mixed"]),
            helper.make_node("Reshape", ["mixed", "square"], ["map"]),
        ]
        weights = {"matrix": matrix, "square": np.array([-1, 3, 14, 14])}
        key = foreign(nodes, ["mixed"], weights)
        feature = feature_of(torch.from_numpy(face).permute(2, 0, 1), key).numpy()
        found = check_revealing_feature(feature, face, key)
        assert found is not None
        assert "linear inversion" in found.measure

    def test_the_default_keys_feature_passes(self, face: Pixels) -> None:
        key = export_key(load_recogniser("dlib-resnet29"), "pooled", provider="x", residual=0.07)
        feature = feature_of(torch.from_numpy(face).permute(2, 0, 1), key).numpy()
        assert check_revealing_feature(feature, face, key) is None

    def test_protect_refuses_a_feature_where_the_image_passes(self, photo: bytes) -> None:
        noise_alone = PMT(steps=0)
        key = average_key(2)
        assert facemin.protect(photo, keys=[key], method=noise_alone, seed=0, secret=None).faces
        with pytest.raises(RevealingKey, match="values in the feature"):
            facemin.protect(photo, keys=[key], method=noise_alone, seed=0, upload="features", secret=None)

"""Photos in, protected faces out: the Python interface."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from skimage import data
from torch import Tensor

import facemin
from facemin.autograd.pixels import to_array, to_tensor
from facemin.face import Detector
from facemin.image import Photo, Pixels, encode
from facemin.keys.key import Key
from facemin.protection import (
    PMT,
    Compute,
    Failure,
    ProtectedPhoto,
    decode_feature,
    feature_of,
    protect_photos,
)
from facemin.protection.result import numbered
from tests.pictures import decode_tensor

QUICK = PMT(steps=2)
EDGE_OF_THE_PHOTO = 240


@pytest.fixture(scope="module")
def astronaut() -> Pixels:
    pixels: Pixels = data.astronaut()
    return pixels


@pytest.fixture(scope="module")
def keys(dlib_keys: dict[str, Key]) -> list[Key]:
    return [dlib_keys["conv256.3"]]


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector()


def test_the_short_api(astronaut: Pixels, keys: list[Key], tmp_path: Path) -> None:
    keys[0].save(tmp_path / "acme.key.onnx")
    (tmp_path / "me.jpg").write_bytes(encode(astronaut, format="JPEG"))
    key = facemin.Key.load(str(tmp_path / "acme.key.onnx"))
    out = facemin.protect(str(tmp_path / "me.jpg"), keys=[key], method=QUICK, secret=None)
    assert out.save(str(tmp_path / "me.protected.png")) == [tmp_path / "me.protected.png"]
    assert np.array_equal(to_array(decode_tensor(tmp_path / "me.protected.png")), out.faces[0].pixels)
    assert out.verdict == "1 face protected"


def test_function_and_package_of_one_name() -> None:
    from facemin.protection import PROTECTORS

    assert callable(facemin.protect)
    assert isinstance(PROTECTORS["robust"], facemin.PMT)


def test_without_a_seed_no_two_are_alike(astronaut: Pixels, keys: list[Key], detector: Detector) -> None:
    photo = Photo(pixels=astronaut, exif=None, format="PNG")
    results = [
        facemin.protect(photo, keys=keys, seed=seed, method=QUICK, detector=detector, secret=None).faces[0].pixels
        for seed in (None, None, 4, 4)
    ]
    assert not np.array_equal(results[0], results[1])
    assert np.array_equal(results[2], results[3])


def test_no_face_is_a_result(keys: list[Key], detector: Detector, tmp_path: Path) -> None:
    photo = Photo(pixels=data.coffee(), exif=None, format="PNG")
    out = facemin.protect(photo, keys=keys, method=QUICK, detector=detector, secret=None)
    assert out.faces == ()
    assert out.verdict == "no face found"
    assert np.array_equal(out.pasted(), photo.pixels)
    with pytest.raises(ValueError, match="no face found"):
        out.save(tmp_path / "x.protected.png")
    assert list(tmp_path.iterdir()) == []


def test_face_at_the_edge_is_a_result(astronaut: Pixels, keys: list[Key], detector: Detector) -> None:
    # the photo ends in the middle of the face, which stands at about x = 225
    cut = Photo(pixels=astronaut[:, :EDGE_OF_THE_PHOTO], exif=None, format="PNG")
    out = facemin.protect(cut, keys=keys, method=QUICK, detector=detector, secret=None)
    assert out.faces == ()
    assert len(out.at_edge) == 1
    assert "edge" in out.verdict
    # the face is painted over where the photo is shown
    x1, y1, x2, y2 = (max(0, round(value)) for value in out.at_edge[0].box)
    assert (out.pasted()[y1:y2, x1:x2] == 128).all()


def test_features_are_saved_as_safetensors(
    astronaut: Pixels, keys: list[Key], detector: Detector, tmp_path: Path
) -> None:
    photo = Photo(pixels=astronaut, exif=None, format="PNG")
    out = facemin.protect(photo, keys=keys, upload="features", method=QUICK, detector=detector, secret=None)
    (path,) = out.save(tmp_path / "me.protected.safetensors")
    feature = decode_feature(path.read_bytes(), keys[0].manifest)
    assert np.array_equal(feature, feature_of(to_tensor(out.faces[0].pixels), keys[0]).numpy())
    with pytest.raises(ValueError, match="safetensors"):
        out.save(tmp_path / "me.png")
    with pytest.raises(ValueError, match="exactly one key"):
        facemin.protect(photo, keys=keys * 2, upload="features", detector=detector, secret=None)


def test_pasting_changes_the_face_and_nothing_else(astronaut: Pixels, keys: list[Key], detector: Detector) -> None:
    out = facemin.protect(
        Photo(pixels=astronaut, exif=None, format="PNG"), keys=keys, method=QUICK, detector=detector, secret=None
    )
    changed = (out.pasted() != astronaut).any(2)
    x1, y1, x2, y2 = (round(value) for value in out.faces[0].face.box)
    assert changed[y1:y2, x1:x2].mean() > 0.9
    assert not changed[300:].any()


def test_stream_goes_on_after_a_broken_photo(astronaut: Pixels, keys: list[Key], tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode(astronaut))
    (tmp_path / "b.png").write_bytes(b"broken")
    names = ["a.png", "b.png", "missing.png", "a.png"]
    results = list(
        protect_photos([tmp_path / name for name in names], keys=keys, method=QUICK, keep_photo=False, secret=None)
    )
    failures = {Path(result.name).name: result.reason for result in results if isinstance(result, Failure)}
    done = [result for result in results if isinstance(result, ProtectedPhoto)]
    assert failures.keys() == {"b.png", "missing.png"}
    assert len(done) == 2
    assert all(result.photo is None for result in done)
    with pytest.raises(ValueError, match="keep_photo"):
        done[0].pasted()


def test_photos_are_drawn_as_faces_are_done(faces: Tensor, keys: list[Key]) -> None:
    drawn = []

    def photos() -> Iterator[Photo]:
        for number in range(6):
            drawn.append(number)
            yield Photo(pixels=to_array(faces[number % 4]), exif=None, format="PNG")

    stream = protect_photos(
        photos(), keys=keys, method=PMT(steps=2), aligned=True, secret=None, compute=Compute(batch=2)
    )
    next(stream)
    assert len(drawn) <= 3
    assert sum(1 for _ in stream) == 5


def test_photos_read_ahead_are_protected_as_photos_read_one_by_one(
    astronaut: Pixels, keys: list[Key], tmp_path: Path
) -> None:
    large = encode(astronaut.repeat(2, 0).repeat(2, 1), format="JPEG")
    for name, content in {"a.jpg": large, "b.jpg": large[:-500], "c.jpg": large}.items():
        (tmp_path / name).write_bytes(content)
    found = []
    # a detector of one thread reads one by one
    for threads in (1, 2):
        results = list(
            protect_photos(
                [tmp_path / name for name in ("a.jpg", "b.jpg", "c.jpg")],
                keys=keys,
                method=QUICK,
                seed=1,
                secret=None,
                detector=Detector(min_face=96, threads=threads),
            )
        )
        failures = [result.reason for result in results if isinstance(result, Failure)]
        done = {result.name: result for result in results if isinstance(result, ProtectedPhoto)}
        assert (len(failures), len(done)) == (1, 2)
        found.append((failures, {name: result.faces[0].pixels.tobytes() for name, result in done.items()}))
    assert found[0] == found[1]


def test_aligned_faces_need_their_size(astronaut: Pixels, keys: list[Key]) -> None:
    photo = Photo(pixels=astronaut, exif=None, format="PNG")
    (result,) = protect_photos([photo], keys=keys, method=QUICK, aligned=True, secret=None)
    assert isinstance(result, Failure)
    assert "512 x 512" in result.reason


def test_no_key_is_refused(astronaut: Pixels) -> None:
    with pytest.raises(ValueError, match="key"):
        facemin.protect(Photo(pixels=astronaut, exif=None, format="PNG"), keys=[], secret=None)


def test_save_refuses_what_would_change_the_image(faces: Tensor, keys: list[Key], tmp_path: Path) -> None:
    photo = Photo(pixels=to_array(faces[0]), exif=None, format="PNG")
    (result,) = protect_photos([photo], keys=keys, method=QUICK, aligned=True, secret=None)
    assert isinstance(result, ProtectedPhoto)
    with pytest.raises(ValueError, match=r"\.png"):
        result.save(tmp_path / "me.jpg")


@pytest.mark.parametrize(
    ("name", "second"),
    [("b.protected.png", "b.2.protected.png"), ("me.png", "me.2.png"), ("a.b.protected.png", "a.b.2.protected.png")],
)
def test_further_faces_are_numbered(name: str, second: str) -> None:
    assert numbered(Path("d") / name, 1) == Path("d") / name
    assert numbered(Path("d") / name, 2) == Path("d") / second

"""Photos, keys and methods as a newcomer gives them, and what comes back shows itself."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

import facemin
from facemin.face import Detector
from facemin.image import Photo, decode, encode
from facemin.keys.key import Key
from facemin.protection import PMT, PROTECTORS, Compute, NothingProtected
from facemin.protection.revealing.finding import RevealingWarning
from facemin.protection.sources import open_keys, open_method, read_photo

QUICK = PMT(steps=1)
SMALL = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def same(one: Photo, other: Photo) -> bool:
    return np.array_equal(np.asarray(one.pixels), np.asarray(other.pixels))


def file(image: Image.Image, kind: str = "PNG", **settings: object) -> bytes:
    stream = BytesIO()
    image.save(stream, format=kind, **settings)
    return stream.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16", "CMYK", "YCbCr"])
def test_a_pil_image_is_what_its_file_is(mode: str) -> None:
    image = (
        Image.fromarray(SMALL).convert("L").convert(mode) if mode == "I;16" else Image.fromarray(SMALL).convert(mode)
    )
    assert same(read_photo(image), decode(file(image, "TIFF" if mode in ("CMYK", "YCbCr") else "PNG")))


def test_a_pil_image_stands_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = file(Image.fromarray(SMALL), exif=exif)
    assert same(read_photo(Image.open(BytesIO(turned))), decode(turned))
    assert not same(decode(turned), decode(file(Image.fromarray(SMALL))))


def test_arrays_are_photos() -> None:
    for array in (SMALL, SMALL[:, :, 0], SMALL[:, :, :1], np.dstack([SMALL, np.full((4, 6), 200, np.uint8)])):
        expected = Image.fromarray(array[:, :, 0] if array.shape[2:] == (1,) else array)
        assert same(read_photo(array), decode(file(expected)))
    flipped = SMALL[::-1, ::-1]
    assert same(read_photo(flipped), decode(file(Image.fromarray(flipped.copy()))))


@pytest.mark.parametrize(
    "wrong",
    [SMALL / 255, SMALL.transpose(2, 0, 1), SMALL[None], np.zeros((0, 3, 3), np.uint8), 7, None, [SMALL]],
)
def test_what_is_no_photo_is_named(wrong: object) -> None:
    with pytest.raises(facemin.InvalidPhoto, match="photo: expected"):
        read_photo(wrong)  # type: ignore[arg-type]


def test_methods_go_by_name() -> None:
    assert all(open_method(name) is PROTECTORS[name] for name in PROTECTORS)
    assert open_method(QUICK) is QUICK
    assert open_method(None) is PROTECTORS["robust"]
    with pytest.raises(ValueError, match=r"method: expected one of auto, one-pass, robust, pmt.*'magic'"):
        open_method("magic")


def test_keys_go_by_file(dlib_keys: dict[str, Key], tmp_path: Path) -> None:
    path = tmp_path / "acme.key.onnx"
    key = dlib_keys["conv256.3"]
    key.save(path)
    for given in ([str(path)], [path], path, str(path), key, [key]):
        assert [one.fingerprint for one in open_keys(given)] == [key.fingerprint]
    with pytest.raises(FileNotFoundError, match="missing"):
        open_keys([tmp_path / "missing.onnx"])


def test_an_array_is_protected_by_a_named_method_and_shows_itself(dlib_keys: dict[str, Key], tmp_path: Path) -> None:
    key = dlib_keys["conv256.3"]
    steps: list[list[int]] = []
    with pytest.warns(RevealingWarning, match="kept although it shows the face"):
        out = facemin.protect(data.astronaut(), keys=key, method="frequency-mask", secret=None, allow_revealing=True)
    assert "did not reach key" in repr(out)
    out = facemin.protect(data.astronaut(), keys=key, method=QUICK, seed=1, on_step=steps.append, secret=None)
    assert steps == [[0], [1]]
    assert len(repr(out)) < 200
    assert len(repr(out.faces[0])) < 120
    assert len(repr(out.photo)) < 80
    assert len(repr(key)) < 200
    assert len(repr(out.faces[0].done)) < 120
    assert decode(out.faces[0]._repr_png_() or b"").format == "PNG"
    html = out._repr_html_()
    assert html.count('src="data:image/png;base64,') == 1
    assert "1 face protected" in html


def test_a_photo_without_a_face_is_a_result_of_its_own_type(dlib_keys: dict[str, Key], tmp_path: Path) -> None:
    out = facemin.protect(data.coffee(), keys=[dlib_keys["conv256.3"]], detector=Detector(), secret=None)
    assert isinstance(out, NothingProtected)
    assert isinstance(out, facemin.ProtectedPhoto)
    assert out.verdict == "no face found"
    assert "no face found" in repr(out)
    with pytest.raises(facemin.NoFace, match="no face found"):
        out.save(tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_between_steps_keeps_what_is_done(dlib_keys: dict[str, Key]) -> None:
    """Whatever was finished has been handed out before the callback is asked again."""
    method, one = PMT(steps=3, residual=0.0), Compute(batch=1)
    face = data.astronaut()[:112, :112].copy()
    images = [decode(encode(face)) for _ in range(3)]
    done: list[object] = []

    def stop(taken: list[int]) -> None:
        if done and taken[0] > 0:
            raise KeyboardInterrupt

    stream = facemin.protect_photos(
        images,
        keys=[dlib_keys["conv32.1"]],
        method=method,
        seed=1,
        aligned=True,
        compute=one,
        on_step=stop,
        secret=None,
    )
    done.append(next(stream))
    with pytest.raises(KeyboardInterrupt):
        next(stream)
    assert len(done) == 1

"""The search for a photo in what was sent: it finds one in every coding, and none in what is sent in its place."""

import base64
import gzip
import io
import json
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from facemin.cli.demo.page import samples
from facemin.face import Detector, crop
from facemin.image import Pixels, decode
from facemin.keys.default import default_key
from facemin.models import SPACE_MODEL
from facemin.models.onnx.run import FaceRunner
from facemin.protection.one_pass.painter import OnePass, Painter
from facemin.protection.one_pass.shipped import shipped_protector
from tests.page.leaks import IMAGE_LIMIT, Subject, leaks, likeness


def coded(pixels: Pixels, kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def sized(pixels: Pixels, width: int) -> Pixels:
    height = round(width * pixels.shape[0] / pixels.shape[1])
    return np.asarray(Image.fromarray(pixels).resize((width, height)))


@pytest.fixture(scope="module")
def subjects() -> list[Subject]:
    photos, detector = samples(), Detector(threads=1)
    found = [Subject("photo", sized(decode(photos["collins-1.jpg"]).pixels, 256))]
    return [*found, Subject("face", crop(photos["collins-1.jpg"], detector))]


FORMS: dict[str, Callable[[Pixels], bytes]] = {
    "png": lambda it: coded(it, "PNG"),
    "jpeg 30": lambda it: coded(it, "JPEG", quality=30),
    "webp": lambda it: coded(it, "WEBP", quality=50),
    "png of 40": lambda it: coded(sized(it, 40), "PNG"),
    "mirrored": lambda it: coded(np.ascontiguousarray(it[:, ::-1]), "PNG"),
    "inverted": lambda it: coded(255 - it, "PNG"),
    "grey": lambda it: coded(np.repeat(it.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2), "PNG"),
    "noisy": lambda it: coded(
        np.clip(it + np.random.default_rng(0).normal(0, 40, it.shape), 0, 255).astype(np.uint8), "PNG"
    ),
    "base64 in JSON": lambda it: json.dumps(
        {"upload": [{"data": base64.b64encode(coded(it, "PNG")).decode()}]}
    ).encode(),
    "data URL": lambda it: json.dumps(
        f"data:image/jpeg;base64,{base64.b64encode(coded(it, 'JPEG')).decode()}"
    ).encode(),
    "url-safe, gzipped": lambda it: base64.urlsafe_b64encode(gzip.compress(coded(it, "JPEG"))),
    "hexadecimal": lambda it: json.dumps({"x": coded(sized(it, 64), "PNG").hex()}).encode(),
    "after a form's head": lambda it: (
        b"--x\r\nContent-Disposition: form-data\r\n\r\n" + coded(it, "JPEG") + b"\r\n--x--"
    ),
    "bare bytes": lambda it: b"head" + sized(it, 48).tobytes(),
    "bare with alpha": lambda it: np.concatenate(
        [sized(it, 32), np.full((*sized(it, 32).shape[:2], 1), 255, np.uint8)], axis=2
    ).tobytes(),
    "bare planes": lambda it: sized(it, 64).transpose(2, 0, 1).tobytes(),
    "bare floats": lambda it: b"abc" + (sized(it, 32).astype(np.float32) / 127.5 - 1).tobytes(),
    "bare halves": lambda it: (sized(it, 24).astype(np.float16) / 255).tobytes(),
    "JSON numbers": lambda it: json.dumps({"pixels": sized(it, 16).tolist()}).encode(),
    "bare, in base64": lambda it: json.dumps({"data": base64.b64encode(sized(it, 112).tobytes()).decode()}).encode(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("which", [0, 1], ids=["photo", "face"])
def test_a_picture_is_found_in_every_coding(subjects: list[Subject], form: str, which: int) -> None:
    assert [each for each in leaks(FORMS[form](subjects[which].pixels), subjects) if subjects[which].name in each]


def painted(count: int) -> Pixels:
    """What a device sends in place of a face, for targets that know nothing of any."""
    protector = shipped_protector(SPACE_MODEL)
    assert protector is not None
    key = default_key()
    assert key.space is not None
    targets = np.random.default_rng(1).standard_normal((count, key.space.dimension)).astype(np.float32)
    targets /= np.linalg.norm(targets, axis=1, keepdims=True)
    painter = Painter(protector, FaceRunner(key.graph), OnePass(residual=key.manifest.residual))
    return np.stack([each.pixels for each in painter(targets, list(range(count)))])


def test_nothing_is_found_where_there_is_nothing(subjects: list[Subject]) -> None:
    images = painted(8)
    highest = max(likeness(image, each) for image in images for each in subjects)
    assert highest < IMAGE_LIMIT - 0.1
    for image in images[:2]:
        body = json.dumps({"data": base64.b64encode(coded(image, "PNG")).decode()}).encode()
        assert leaks(body, subjects) == []
    noise = np.random.default_rng(2)
    assert leaks(noise.bytes(60_000), subjects) == []
    assert leaks(noise.standard_normal(66).astype(np.float32).tobytes(), subjects) == []

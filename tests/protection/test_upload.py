"""Uploaded features: what the provider accepts, and all that it refuses."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from facemin.keys.key import Key
from facemin.models import load_recogniser
from facemin.protection import PMT, decode_feature, encode_feature, feature_of

CUT = "conv256.3"


@pytest.fixture(scope="module")
def key(dlib_keys: dict[str, Key]) -> Key:
    return dlib_keys[CUT]


@pytest.fixture(scope="module")
def feature(key: Key, faces: Tensor) -> Tensor:
    (done,) = PMT(steps=4)(faces[:1], [key], seed=0)
    return feature_of(done.pixels, key)


def test_server_half_accepts_what_the_client_wrote(key: Key, feature: Tensor) -> None:
    read = decode_feature(encode_feature(feature, key), key.manifest)
    assert np.array_equal(read, feature.numpy())
    row = load_recogniser("dlib-resnet29").head(CUT)(torch.from_numpy(read)[None])
    assert row.shape == (1, 128)


def test_the_same_content_is_the_same_file(key: Key, feature: Tensor) -> None:
    """The library's own order of metadata is another one each time."""
    written = {encode_feature(feature, key) for _ in range(20)}
    (data,) = written
    assert list(safe_open_metadata(data)) == sorted(metadata(key))


def safe_open_metadata(data: bytes) -> dict[str, str]:
    found: dict[str, str] = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    return found


def test_feature_is_that_of_the_protected_image(key: Key, faces: Tensor) -> None:
    (done,) = PMT(steps=4)(faces[:1], [key], seed=0)
    whole = load_recogniser("dlib-resnet29")
    image = (done.pixels.float() / 255)[None]
    rest = whole.head(CUT)(feature_of(done.pixels, key)[None])
    torch.testing.assert_close(rest, whole(image), atol=1e-5, rtol=0)


def test_refuses_a_feature_for_another_key(key: Key, feature: Tensor, dlib_keys: dict[str, Key]) -> None:
    data = encode_feature(feature, key)
    with pytest.raises(ValueError, match=r"conv32\.1|bytes"):
        decode_feature(data, dlib_keys["conv32.1"].manifest)


def metadata(key: Key, **changes: str) -> dict[str, str]:
    known = {"format": "facemin-feature-1", "key_id": key.manifest.key_id, "cut": CUT}
    return known | changes


@pytest.mark.parametrize(
    ("tensors", "changes", "words"),
    [
        ({"feature": torch.zeros(256, 4, 4)}, {"key_id": "other"}, "other"),
        ({"feature": torch.zeros(256, 4, 4)}, {"cut": "conv7"}, "conv7"),
        ({"feature": torch.zeros(256, 4, 4)}, {"format": "x"}, "format"),
        ({"feature": torch.zeros(256, 16)}, {}, r"\(256, 16\)"),
        ({"feature": torch.zeros(256, 4, 4, dtype=torch.float16)}, {}, "float16"),
        ({"feature": torch.full((256, 4, 4), torch.nan)}, {}, "finite"),
        ({"face": torch.zeros(256, 4, 4)}, {}, "face"),
        ({"feature": torch.zeros(256, 4, 4), "more": torch.zeros(1)}, {}, "more"),
        ({"feature": torch.zeros(256, 40, 40)}, {}, "bytes"),
    ],
)
def test_refuses(key: Key, tensors: dict[str, Tensor], changes: dict[str, str], words: str) -> None:
    data = save(tensors, metadata(key, **changes))
    with pytest.raises(ValueError, match=words) as caught:
        decode_feature(data, key.manifest, name="upload-7")
    assert "upload-7" in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"\xff" * 16, b"\x10\x00\x00\x00\x00\x00\x00\x00not json at all!", b"PNG" * 50])
def test_refuses_other_bytes(key: Key, data: bytes) -> None:
    with pytest.raises(ValueError, match="feature"):
        decode_feature(data, key.manifest)


def test_refuses_a_truncated_file(key: Key, feature: Tensor) -> None:
    data = encode_feature(feature, key)
    for length in (7, 8, 100, len(data) - 1):
        with pytest.raises(ValueError, match="safetensors"):
            decode_feature(data[:length], key.manifest)


def test_client_refuses_to_write_another_shape(key: Key) -> None:
    with pytest.raises(ValueError, match=r"\(1, 2, 3\)"):
        encode_feature(torch.zeros(1, 2, 3), key)

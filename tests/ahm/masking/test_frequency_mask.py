"""Frequency masking as a protector: the contract where it has no gradient, and what its recogniser reads."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from facemin.ahm.masking.mask import raw_channels
from facemin.autograd.distance import relative_distance
from facemin.autograd.pixels import to_unit
from facemin.experiments.methods import describe_method, make_method
from facemin.keys.key import Key
from facemin.metrics import ssim
from facemin.protection import PROTECTORS, Compute, FrequencyMask, OptimisedImage, ProtectedPhoto, protect_photos
from tests.pictures import decode_tensor, encode_tensor

METHOD = FrequencyMask()


@pytest.fixture
def keys(dlib_keys: dict[str, Key]) -> list[Key]:
    return [dlib_keys["conv32.1"]]


def same(one: OptimisedImage, other: OptimisedImage) -> bool:
    return torch.equal(one.pixels, other.pixels) and (one.residuals, one.unmet) == (other.residuals, other.unmet)


def test_a_batch_of_none_would_skip_every_photo() -> None:
    with pytest.raises(ValueError, match="batch: expected an integer of at least 1, got 0"):
        Compute(batch=0)


def test_is_a_method_by_name() -> None:
    assert PROTECTORS["frequency-mask"] == FrequencyMask()


def test_batch_equals_one_by_one_whatever_the_seed(faces: Tensor, keys: list[Key]) -> None:
    alone = [METHOD(face[None], keys, seed=3)[0] for face in faces]
    for batch in (1, 2, 3, 16):
        together = METHOD(faces, keys, seed=4, compute=Compute(batch=batch))
        assert [done.index for done in together] == [0, 1, 2, 3]
        assert all(same(one, other) for one, other in zip(alone, together, strict=True))


def test_result_is_an_image_with_what_it_is_away_from_the_key(faces: Tensor, keys: list[Key]) -> None:
    for face, done in zip(faces, METHOD(faces, keys, seed=0), strict=True):
        assert (done.pixels.dtype, tuple(done.pixels.shape), done.steps) == (torch.uint8, (3, 112, 112), 0)
        with torch.no_grad():
            both = torch.stack([to_unit(done.pixels), face])
            features = keys[0].shallow(both)
        expected = float(relative_distance(features[:1], features[1:]))
        assert done.residuals == pytest.approx((expected,), rel=1e-4)
        assert done.unmet == ((0,) if expected > keys[0].manifest.residual else ())


def test_recogniser_reads_the_kept_channels(faces: Tensor, keys: list[Key]) -> None:
    smooth = torch.nn.functional.avg_pool2d(faces, 9, stride=1, padding=4, count_include_pad=False)
    images = to_unit(torch.stack([done.pixels for done in METHOD(smooth, keys, seed=0)]))
    expected = raw_channels(smooth, METHOD.channels, blocks="plain")
    found = METHOD.read(images, keys)
    assert found.shape == (4, 108, 14, 14)
    # half a grey level in each pixel, over the gain
    assert float((found - expected).square().mean().sqrt()) < 2 * 0.5 / 255 / METHOD.gain


def test_no_dc_is_left(faces: Tensor, keys: list[Key]) -> None:
    images = to_unit(torch.stack([done.pixels for done in METHOD(faces * 0.5, keys, seed=0)]))
    means = torch.nn.functional.avg_pool2d(images, 8)
    assert float((means - 0.5).abs().max()) < 0.06
    # beside the masked one the face itself is a different picture
    assert float(ssim(images, faces * 0.5).max()) < 0.5


def test_another_key_has_another_order(faces: Tensor, dlib_keys: dict[str, Key]) -> None:
    one, other = ([key] for key in dlib_keys.values())
    assert METHOD.order(one) == METHOD.order(one) != METHOD.order(other)
    assert METHOD.order(one + other) not in (METHOD.order(one), METHOD.order(other))
    assert not torch.equal(METHOD(faces[:1], one, seed=0)[0].pixels, METHOD(faces[:1], other, seed=0)[0].pixels)


def test_leaves_faces_and_global_randomness_alone(faces: Tensor, keys: list[Key]) -> None:
    before, state = faces.clone(), torch.get_rng_state()
    METHOD(faces[:1], keys, seed=0)
    assert torch.equal(faces, before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [(torch.zeros(1, 3, 112, 96), "112, 96"), (torch.full((1, 3, 112, 112), 255.0), "255")],
)
def test_refuses_what_is_not_a_face(wrong: Tensor, words: str, keys: list[Key]) -> None:
    with pytest.raises(ValueError, match=words):
        METHOD(wrong, keys, seed=0)


def test_refuses_wrong_settings_and_no_keys(faces: Tensor) -> None:
    with pytest.raises(ValueError, match="at least one"):
        METHOD(faces, [], seed=0)
    with pytest.raises(ValueError, match="kept"):
        FrequencyMask(kept=64)
    with pytest.raises(ValueError, match="gain"):
        FrequencyMask(gain=0.0)


@pytest.mark.filterwarnings("ignore::facemin.protection.revealing.finding.RevealingWarning")
def test_protects_photos_as_any_method_does(faces: Tensor, keys: list[Key], tmp_path: Path) -> None:
    photo = tmp_path / "face.png"
    photo.write_bytes(encode_tensor(faces[0]))
    # these faces are coloured patches, whose mask shows them; masks of photos are docs/ahm.md's matter
    (found,) = protect_photos([photo], keys=keys, method=METHOD, aligned=True, secret=None, allow_revealing=True)
    assert isinstance(found, ProtectedPhoto)
    (saved,) = found.save(tmp_path / "face.protected.png")
    assert torch.equal(decode_tensor(saved), METHOD(faces[:1], keys, seed=0)[0].pixels)


def test_experiments_name_it() -> None:
    method = make_method({"preset": "frequency-mask", "kept": 20})
    assert method == FrequencyMask(kept=20)
    assert describe_method(method) == {"kind": "frequency-mask", "kept": 20, "hiding": True, "gain": 0.5}
    with pytest.raises(ValueError, match="steps"):
        make_method({"preset": "frequency-mask", "steps": 5})

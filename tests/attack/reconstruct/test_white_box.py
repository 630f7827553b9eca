"""The white box on unprotected features: it must recover what is there, each image on its own."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from facemin.attack.features import features_of
from facemin.attack.reconstruct.image_prior import ImagePrior
from facemin.attack.reconstruct.white_box import PAPER, UNSPLIT, WhiteBox, total_variation
from facemin.keys.key import Key
from facemin.metrics import mean_face, ssim
from facemin.runtime.compute import Compute
from tests.attack.conftest import draw, seen

QUICK = WhiteBox(steps=60)


@pytest.fixture(scope="module")
def faces() -> Tensor:
    return draw(3, 1, seed=11).faces


@pytest.fixture(scope="module")
def floor(faces: Tensor) -> float:
    mean = mean_face(draw(20, 1, seed=12).faces)
    return float(ssim(seen(mean).expand(3, -1, -1, -1), seen(faces)).mean())


def test_recovers_faces_from_unprotected_features(key: Key, faces: Tensor, floor: float) -> None:
    found = QUICK(key, features_of(key, faces))
    likeness = float(ssim(seen(found.images), seen(faces)).mean())
    assert likeness > 0.85, "a white box that fails on unprotected features is broken"
    assert likeness > floor + 0.2
    assert found.steps == 60
    assert bool((found.losses < 0.1).all())


def test_losses_are_what_the_key_says_of_the_images(key: Key, faces: Tensor) -> None:
    target = features_of(key, faces)[-1]
    found = replace(QUICK, steps=3)(key, target)
    own = features_of(key, found.images)[-1]
    expected = (own - target).flatten(1).norm(dim=1) / target.flatten(1).norm(dim=1)
    torch.testing.assert_close(found.losses, expected, rtol=1e-4, atol=1e-5)
    assert 0 <= found.images.min() <= found.images.max() <= 1


def test_batch_equals_one_by_one(key: Key, faces: Tensor) -> None:
    features = features_of(key, faces)[-1]
    attack = replace(QUICK, steps=10, restarts=2)
    together = attack(key, features)
    alone = [attack(key, row[None]) for row in features]
    torch.testing.assert_close(together.images, torch.cat([one.images for one in alone]), rtol=0, atol=1e-6)
    torch.testing.assert_close(together.losses, torch.cat([one.losses for one in alone]), rtol=0, atol=1e-6)
    parted = attack(key, features, compute=Compute(batch=2))
    torch.testing.assert_close(together.images, parted.images, rtol=0, atol=1e-6)


def test_restarts_never_end_further_away(key: Key, faces: Tensor) -> None:
    features = features_of(key, faces)[-1]
    once, twice = (replace(QUICK, steps=8, restarts=count)(key, features) for count in (1, 2))
    assert bool((twice.losses <= once.losses).all())


def test_matches_all_layers_of_a_key(deep_key: Key, faces: Tensor) -> None:
    layers = features_of(deep_key, faces[:2])
    assert len(layers) == 2
    attack = replace(QUICK, steps=40)
    from_all, from_cut = attack(deep_key, layers), attack(deep_key, layers[-1])
    likeness = [float(ssim(seen(found.images), seen(faces[:2])).mean()) for found in (from_all, from_cut)]
    assert likeness[0] > likeness[1]


def test_scales_make_it_stronger(key: Key, faces: Tensor) -> None:
    features = features_of(key, faces)[-1]
    attack = replace(QUICK, steps=30)
    fine = replace(attack, scales=(112,))
    assert float(attack(key, features).losses.mean()) < float(fine(key, features).losses.mean())


def test_prior_paints_a_face(key: Key, faces: Tensor, floor: float) -> None:
    attack = replace(QUICK, prior=ImagePrior(width=24, rate=0.02), steps=90, total_variation=0.0)
    found = attack(key, features_of(key, faces[:1])[-1])
    assert float(ssim(seen(found.images), seen(faces[:1])).mean()) > floor + 0.1


@pytest.mark.parametrize("preset", [PAPER, UNSPLIT], ids=["paper", "unsplit"])
def test_published_forms_descend(preset: WhiteBox, key: Key, faces: Tensor) -> None:
    features = features_of(key, faces[:1])[-1]
    few, more = (replace(preset, steps=steps, total_variation=0.0, energy=0.0)(key, features) for steps in (1, 30))
    assert bool((more.losses < few.losses).all())


def test_paper_moves_by_whole_grey_levels(key: Key, faces: Tensor) -> None:
    found = replace(PAPER, steps=3)(key, features_of(key, faces[:1])[-1])
    moved = (found.images - 0.5) * 255
    torch.testing.assert_close(moved, moved.round(), rtol=0, atol=1e-3)
    assert float(moved.abs().max()) == pytest.approx(3, abs=1e-3)


def test_total_variation_by_hand() -> None:
    image = torch.tensor([[0.0, 3.0], [4.0, 0.0]])[None, None]
    # differences: (3, 4), (-, -3), (-4, -), (-, -)
    assert float(total_variation(image, exponent=2.0)) == pytest.approx(25 + 9 + 16)
    assert float(total_variation(image, exponent=1.0)) == pytest.approx(5 + 3 + 4, abs=2e-3)


def test_tells_how_far_it_is(key: Key, faces: Tensor) -> None:
    told: list[tuple[int, int]] = []
    replace(QUICK, steps=2, restarts=2)(
        key,
        features_of(key, faces)[-1],
        compute=Compute(batch=2),
        on_step=lambda done, total: told.append((done, total)),
    )
    assert told == [(step, 8) for step in range(1, 9)]


def test_takes_no_features(key: Key) -> None:
    found = QUICK(key, torch.zeros(0, *key.manifest.features))
    assert found.images.shape == (0, 3, 112, 112)


def test_leaves_the_key_as_it_was(key: Key, faces: Tensor) -> None:
    before = [buffer.clone() for buffer in key.shallow.buffers()]
    replace(QUICK, steps=1, precision="bfloat16")(key, features_of(key, faces)[-1])
    after = list(key.shallow.buffers())
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (torch.zeros(2, 3, 4, 4), r"expected \(B, \*\(32, 72, 72\)\) of the cut"),
        (torch.full((2, 32, 72, 72), float("nan")), "expected finite values"),
    ],
    ids=["shape", "nan"],
)
def test_refuses_other_features(features: Tensor, said: str, key: Key) -> None:
    with pytest.raises(ValueError, match=said):
        QUICK(key, features)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"rate": 0.0},
        {"total_variation": float("nan")},
        {"scales": (7, 14)},
        {"rule": "momentum"},
        {"distance": "cosine"},
        {"restarts": 0},
    ],
    ids=str,
)
def test_refuses_wrong_settings(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        WhiteBox(**wrong)  # type: ignore[arg-type]

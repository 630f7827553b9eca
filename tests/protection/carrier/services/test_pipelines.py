"""T: what services do to a photo, differentiable, each image by its own randomness."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from facemin.protection.carrier.base import base_of  # noqa: E402 - behind the skip
from facemin.protection.carrier.canvas import SIDE, of_frame  # noqa: E402
from facemin.protection.carrier.services.pipelines import decoded  # noqa: E402
from facemin.protection.carrier.services.webp import webp  # noqa: E402
from facemin.protection.carrier.settings import Pipelines  # noqa: E402

if TYPE_CHECKING:
    from torch import Tensor

NOTHING = Pipelines(resized=0, blurred=0, encodings=(1, 0, 0), cropped=0, noisy=0, colour=0)


def canvases(count: int) -> Tensor:
    made: Tensor = torch.stack([of_frame(base_of(bytes([number] * 32)).frame) for number in range(count)])
    return made


def draws(count: int, seed: int = 0) -> list[np.random.Generator]:
    return [np.random.default_rng((seed, number)) for number in range(count)]


def textured() -> np.ndarray:
    """A base with a pattern such as a change leaves, uint8 (SIDE, SIDE, 3)."""
    pattern = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)).resize((SIDE, SIDE))
    base = canvases(1)[0].permute(1, 2, 0).numpy() * 255
    return np.asarray((0.85 * base + 0.15 * np.asarray(pattern)).round().clip(0, 255), np.uint8)


def test_nothing_is_nothing() -> None:
    shown = canvases(2)
    assert torch.allclose(decoded(NOTHING, shown, draws(2)), shown, atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"resized": 1.0},
        {"blurred": 1.0},
        {"encodings": (0, 1, 0), "webp": 0.0},
        {"encodings": (0, 0, 1), "webp": 1.0},
        {"cropped": 1.0},
        {"noisy": 1.0},
        {"colour": 0.05},
    ],
)
def test_each_operation_changes_pixels_and_passes_gradients(change: dict[str, Any]) -> None:
    shown = torch.from_numpy(textured()).permute(2, 0, 1)[None].float().div(255).repeat(4, 1, 1, 1).requires_grad_()
    made = decoded(replace(NOTHING, **change), shown, draws(4))
    assert 1e-3 < float((made - shown).detach().abs().mean()) < 0.3
    (gradient,) = torch.autograd.grad(made.sum(), shown)
    assert gradient.isfinite().all()
    assert (gradient.flatten(1).abs().amax(1) > 0).all()


def test_an_image_does_not_depend_on_its_batch() -> None:
    shown = canvases(3)
    together = decoded(Pipelines(), shown, draws(3))
    assert torch.allclose(together[1:2], decoded(Pipelines(), shown[1:2], draws(3)[1:2]), atol=1e-6)


def test_a_crop_keeps_the_face_and_loses_what_is_far_from_it() -> None:
    kept = torch.ones(20, 3, SIDE, SIDE)
    made = decoded(replace(NOTHING, cropped=1.0), kept, draws(20)).mean(1)
    middle = slice(SIDE // 3, 2 * SIDE // 3)
    assert (made[:, middle, middle] == 1).all()
    assert (made[:, 0, 0] == 0).any()


@pytest.mark.parametrize("quality", [70, 85])
def test_the_stand_in_for_webp_loses_what_libwebp_loses(quality: int) -> None:
    pixels = textured()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", quality=quality)
    real = np.asarray(Image.open(file).convert("RGB"), np.float64) - pixels
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    ours = 255 * webp(planes, torch.tensor([quality]))[0].permute(1, 2, 0).numpy().astype(np.float64) - pixels
    sizes = np.sqrt([np.square(real).mean(), np.square(ours).mean()])
    assert 0.6 < sizes[1] / sizes[0] < 1.7, sizes
    # both lose the colours' fine part and low contrasts
    assert np.corrcoef(real.ravel(), ours.ravel())[0, 1] > 0.4


@pytest.mark.parametrize("axis", [2, 3])
def test_webp_mixes_nothing_across_opposite_borders(axis: int) -> None:
    plain = torch.full((1, 3, 32, 32), 0.5)
    bright = plain.clone()
    bright.narrow(axis, 0, 8).fill_(1.0)
    changed = (webp(bright, torch.tensor([80])) - webp(plain, torch.tensor([80]))).abs()
    assert float(changed.narrow(axis, 20, 12).max()) < 1e-5
    assert float(changed.narrow(axis, 0, 6).min()) > 0.3


@pytest.mark.parametrize("webp_share", [0.0, 1.0])
def test_a_second_encoding_mixes_nothing_across_opposite_borders(webp_share: float) -> None:
    plain = torch.full((1, 3, SIDE, SIDE), 0.5)
    bright = plain.clone()
    bright[:, :, :8] = 1.0
    twice = replace(NOTHING, encodings=(0, 0, 1), webp=webp_share)
    changed = (decoded(twice, bright, draws(1)) - decoded(twice, plain, draws(1))).abs()
    assert float(changed[:, :, -32:].max()) < 1e-5

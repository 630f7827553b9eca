"""SSIM and PSNR against scikit-image, by hand, and their gradients against finite differences."""

import math
from collections.abc import Callable
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from facemin.metrics import Window, psnr, ssim
from facemin.metrics.similarity import SIDES

WINDOWS: list[Window] = ["uniform", "gaussian"]
SCIKIT_IMAGE = {"uniform": {}, "gaussian": {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}}


def rand(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def smooth(batch: int, height: int, width: int) -> Tensor:
    y, x = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)
    waves = [0.5 + 0.5 * torch.sin(7 * y + k) * torch.cos((5 + k) * x) for k in range(3 * batch)]
    return torch.stack(waves).view(batch, 3, height, width)


def halves(height: int, width: int) -> Tensor:
    """Black beside white: the flat parts lie as far from the image's mean as they can."""
    return (torch.arange(width) >= width / 2).float().expand(1, 3, height, width)


PAIRS = {
    "random": (rand(2, 3, 31, 44), rand(2, 3, 31, 44, seed=1)),
    "random, 8 bits": ((rand(2, 3, 112, 112) * 255).round() / 255, (rand(2, 3, 112, 112, seed=1) * 255).round() / 255),
    "smooth": (smooth(2, 40, 33), smooth(2, 40, 33).flip(3)),
    "smooth, a little noise": (smooth(2, 40, 33), (smooth(2, 40, 33) + 0.02 * rand(2, 3, 40, 33)).clamp(0, 1)),
    "constant": (torch.full((1, 3, 20, 20), 0.9), torch.full((1, 3, 20, 20), 0.2)),
    "constant, nearly white": (torch.ones(1, 3, 20, 20), torch.full((1, 3, 20, 20), 0.999)),
    "constant, random": (torch.full((1, 3, 20, 20), 0.5), rand(1, 3, 20, 20)),
    "halves": (halves(40, 40), 1 - halves(40, 40)),
    "halves, slightly darker": (halves(112, 112), halves(112, 112) * 0.999),
    "smallest": (rand(1, 3, 11, 11), rand(1, 3, 11, 11, seed=1)),
}


def structural(a: Tensor, b: Tensor, window: Window) -> list[float]:
    arrays = [(x.double().numpy(), y.double().numpy()) for x, y in zip(a, b, strict=True)]
    options = SCIKIT_IMAGE[window]
    return [float(structural_similarity(x, y, channel_axis=0, data_range=1.0, **options)) for x, y in arrays]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-12)])
def test_ssim_equals_scikit_image(pair: str, window: Window, dtype: torch.dtype, tolerance: float) -> None:
    a, b = PAIRS[pair]
    measured = ssim(a.to(dtype), b.to(dtype), window=window)
    assert measured.dtype == dtype
    assert measured.tolist() == pytest.approx(structural(a, b, window), abs=tolerance)


def test_ssim_of_bytes_is_that_of_their_fractions() -> None:
    a, b = ((each * 255).round().byte() for each in PAIRS["random"])
    expected = [float(structural_similarity(x.numpy(), y.numpy(), channel_axis=0)) for x, y in zip(a, b, strict=True)]
    assert ssim(a / 255, b / 255).tolist() == pytest.approx(expected, abs=1e-5)


@given(st.integers(11, 24), st.integers(11, 24), st.sampled_from(WINDOWS), st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_ssim_equals_scikit_image_at_any_size(height: int, width: int, window: Window, seed: int) -> None:
    a, b = rand(1, 3, height, width, seed=seed), rand(1, 3, height, width, seed=seed + 100)
    assert ssim(a, b, window=window).tolist() == pytest.approx(structural(a, b, window), abs=1e-4)


def test_ssim_by_hand() -> None:
    # Constant images have no variance: only the means' term is left.
    a, b = torch.full((1, 3, 16, 16), 0.75), torch.full((1, 3, 16, 16), 0.25)
    expected = (2 * 0.75 * 0.25 + 1e-4) / (0.75**2 + 0.25**2 + 1e-4)
    for window in WINDOWS:
        assert ssim(a, b, window=window).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("window", WINDOWS)
def test_ssim_is_symmetric_and_1_for_equals(window: Window) -> None:
    a, b = PAIRS["smooth"]
    assert ssim(a, a, window=window).tolist() == pytest.approx([1, 1], abs=1e-6)
    torch.testing.assert_close(ssim(a, b, window=window), ssim(b, a, window=window))


@pytest.mark.parametrize("window", WINDOWS)
def test_equal_flat_images_have_a_gradient_of_zero(window: Window) -> None:
    a = torch.full((1, 3, 12, 12), 0.5, requires_grad=True)
    (gradient,) = torch.autograd.grad(ssim(a, a.detach(), window=window).sum(), a)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-6, rtol=0)


@pytest.mark.parametrize("pair", PAIRS)
def test_psnr_equals_scikit_image(pair: str) -> None:
    a, b = PAIRS[pair]
    expected = [
        peak_signal_noise_ratio(x.double().numpy(), y.double().numpy(), data_range=1.0)
        for x, y in zip(a, b, strict=True)
    ]
    assert psnr(a, b).tolist() == pytest.approx(expected, abs=1e-3)
    assert psnr(a.double(), b.double()).tolist() == pytest.approx(expected, abs=1e-10)


def test_psnr_by_hand() -> None:
    black = torch.zeros(1, 3, 8, 8)
    assert psnr(black, black + 0.1).item() == pytest.approx(20, abs=1e-5)
    assert psnr(black, black + 1).item() == 0
    assert psnr(black, black).item() == math.inf


MEASURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "psnr": psnr,
    "ssim uniform": lambda a, b: ssim(a, b, window="uniform"),
    "ssim gaussian": lambda a, b: ssim(a, b, window="gaussian"),
}


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
class TestEveryMeasure:
    def test_gradients(self, measure: Callable[[Tensor, Tensor], Tensor]) -> None:
        # Away from 0 and 1, which the finite differences may not leave.
        a, b = (0.1 + 0.8 * rand(2, 3, 12, 11, seed=seed).double() for seed in (0, 1))
        assert torch.autograd.gradcheck(measure, (a.requires_grad_(), b.requires_grad_()), fast_mode=False)

    def test_one_reference_serves_every_image(self, measure: Callable[[Tensor, Tensor], Tensor]) -> None:
        a, b = rand(3, 3, 20, 20), rand(1, 3, 20, 20, seed=1)
        torch.testing.assert_close(measure(a, b), measure(a, b.expand_as(a)))

    def test_batch_equals_one_by_one(self, measure: Callable[[Tensor, Tensor], Tensor]) -> None:
        a, b = rand(3, 3, 20, 17), rand(3, 3, 20, 17, seed=1)
        alone = torch.cat([measure(a[i : i + 1], b[i : i + 1]) for i in range(3)])
        torch.testing.assert_close(measure(a, b), alone)

    def test_inputs_stay_untouched_whatever_their_layout(self, measure: Callable[[Tensor, Tensor], Tensor]) -> None:
        a, b = rand(2, 3, 20, 20), rand(2, 3, 20, 20, seed=1)
        kept = a.clone(), b.clone()
        last = measure(a.to(memory_format=torch.channels_last), b)
        torch.testing.assert_close(measure(a, b), last)
        assert torch.equal(a, kept[0])
        assert torch.equal(b, kept[1])

    @pytest.mark.parametrize(
        ("a", "b", "message"),
        [
            (torch.zeros(3, 20, 20), torch.zeros(3, 20, 20), r"images: expected \(B, 3, H, W\)"),
            (torch.zeros(1, 1, 20, 20), torch.zeros(1, 1, 20, 20), r"images: expected \(B, 3, H, W\)"),
            (torch.zeros(0, 3, 20, 20), torch.zeros(0, 3, 20, 20), "none of them 0"),
            (torch.zeros(1, 3, 20, 20).byte(), torch.zeros(1, 3, 20, 20), "float32 or float64 .* torch.uint8"),
            (
                torch.zeros(1, 3, 20, 20),
                torch.full((1, 3, 20, 20), 255.0),
                "reference: expected values in .* 255 to 255",
            ),
            (torch.full((1, 3, 20, 20), math.nan), torch.zeros(1, 3, 20, 20), "images: .* no NaN"),
            (torch.zeros(1, 3, 20, 20), torch.zeros(1, 3, 20, 21), r"reference: expected \(1, 3, 20, 20\)"),
            (torch.zeros(3, 3, 20, 20), torch.zeros(2, 3, 20, 20), r"reference: expected \(3, 3, 20, 20\)"),
            (torch.zeros(1, 3, 20, 20), torch.zeros(1, 3, 20, 20).double(), "reference: expected torch.float32 on cpu"),
        ],
    )
    def test_bad_input_is_named(
        self, measure: Callable[[Tensor, Tensor], Tensor], a: Tensor, b: Tensor, message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            measure(a, b)


def test_every_window_is_here() -> None:
    assert list(get_args(Window)) == WINDOWS == list(SIDES)


def test_ssim_names_a_bad_window_and_a_small_image() -> None:
    a = torch.zeros(1, 3, 8, 20)
    assert ssim(a, a).item() == 1
    with pytest.raises(ValueError, match="images: expected at least 11 x 11 pixels for window 'gaussian', got 8 x 20"):
        ssim(a, a, window="gaussian")
    with pytest.raises(ValueError, match=r"window: expected one of \['gaussian', 'uniform'\], got 'box'"):
        ssim(a, a, window="box")  # type: ignore[arg-type]

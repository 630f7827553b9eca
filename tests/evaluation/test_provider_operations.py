"""What a provider does to an upload, against Pillow, scipy and hand-computed cases."""

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image, JpegImagePlugin
from scipy import ndimage, stats
from torch import Tensor

from facemin.attack import Jpeg, Resize, Shift
from facemin.evaluation.provider_operations import GaussianNoise

GRID = torch.randint(0, 256, (2, 3, 48, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
SMOOTH = torch.nn.functional.interpolate(
    torch.rand(2, 3, 6, 4, generator=torch.Generator().manual_seed(1)), size=(48, 32), mode="bilinear"
)
EXACT = [Jpeg(quality=90), Jpeg(quality=75), Resize(factor=0.75), GaussianNoise(deviation=0.1)]


def picture(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).numpy())


@pytest.mark.parametrize("quality", [75, 90])
def test_jpeg_is_pillows_own_file_read_back(quality: int) -> None:
    result = Jpeg(quality=quality)(GRID / 255)
    for ours, image in zip(result, GRID, strict=True):
        file = BytesIO()
        picture(image).save(file, "JPEG", quality=quality)
        assert file.getvalue() != b""
        with Image.open(file) as read:
            assert JpegImagePlugin.get_sampling(read) == 2  # 4:2:0
            expected = np.asarray(read)
        np.testing.assert_array_equal((ours * 255).round().permute(1, 2, 0).numpy(), expected)


def test_jpeg_loses_more_at_a_lower_quality() -> None:
    lost = [float((Jpeg(quality=quality)(SMOOTH) - SMOOTH).square().mean()) for quality in (95, 75, 10)]
    assert 0 < lost[0] < lost[1] < lost[2]


def test_resize_halves_and_doubles_by_hand() -> None:
    image = torch.zeros(1, 3, 8, 8)
    image[..., 4:] = 1
    # Down: the triangle is widened by 2, weights 1/8, 3/8, 3/8, 1/8 of four neighbours, so that the step edge becomes
    # 0, 1/8, 7/8, 1. Up again: 3/4 of the nearest and 1/4 of the next, the border alone. Pillow rounds both times.
    result = Resize(factor=0.5)(image)[0, 0, 0] * 255
    expected = [0, 8, 24, 79.75, 175.25, 231, 247, 255]
    np.testing.assert_allclose(result.numpy(), expected, atol=1.01)
    assert torch.equal(result, result.round())


@pytest.mark.parametrize("change", EXACT, ids=repr)
def test_result_lies_on_the_8_bit_grid(change: Jpeg | Resize | GaussianNoise) -> None:
    result = change(SMOOTH)
    assert torch.equal((result * 255).round() / 255, result)
    assert result.dtype == SMOOTH.dtype


def test_noise_has_its_deviation_and_differs_between_images() -> None:
    grey = torch.full((2, 3, 112, 112), 128 / 255)
    grey[1] += 1 / 255
    noise = GaussianNoise(deviation=0.1)(grey) - grey
    assert float(noise.std()) == pytest.approx(0.1, rel=0.02)
    assert abs(float(noise.mean())) < 0.002
    assert stats.kstest(noise[0].flatten().numpy()[::7] / 0.1, "norm").pvalue > 1e-3
    correlation = np.corrcoef(noise[0].flatten().numpy(), noise[1].flatten().numpy())[0, 1]
    assert abs(correlation) < 0.03


def test_shift_equals_scipy() -> None:
    result = Shift(pixels=2)(SMOOTH.double())
    expected = ndimage.shift(SMOOTH.double().numpy(), (0, 0, 2, 2), order=0, mode="nearest")
    np.testing.assert_array_equal(result.numpy(), expected)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Jpeg(quality=0), "quality: expected an integer in .1, 95., got 0"),
        (lambda: Jpeg(quality=96), "got 96"),
        (lambda: Resize(factor=1.0), "factor: expected in .0, 1., got 1.0"),
        (lambda: GaussianNoise(deviation=float("nan")), "above 0, got nan"),
        (lambda: Shift(pixels=0), "at least 1, got 0"),
    ],
)
def test_refuses_a_strength_that_is_none(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=message):
        make()

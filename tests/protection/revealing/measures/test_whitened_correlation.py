"""Whitened correlation: a faint face in noise of any spectrum, and Parseval's theorem on half a spectrum."""

import numpy as np
import pytest

from facemin.image import Pixels
from facemin.protection.revealing.measures.image_planes import planes_of
from facemin.protection.revealing.measures.whitened_correlation import _rows, whitened_correlation
from facemin.protection.revealing.resemblance import LIMITS
from tests.protection.revealing.pictures import grid

LIMIT = LIMITS["whitened correlation, 56 px"]


def found(image: Pixels, face: Pixels) -> float:
    return whitened_correlation(planes_of(image)[3], planes_of(face)[3])


def coloured(seed: int, exponent: float) -> np.ndarray:
    """Noise of power 1 / f^exponent and standard deviation 50, (112, 112, 1)."""
    frequency = np.hypot(np.fft.fftfreq(112)[:, None], np.fft.rfftfreq(112)) + 1 / 112
    white = np.fft.rfft2(np.random.default_rng(seed).standard_normal((112, 112)))
    field = np.fft.irfft2(white * frequency ** (-exponent / 2), (112, 112))
    return np.asarray(50 * (field / field.std())[..., None])


@pytest.mark.parametrize("exponent", [0, 1])
@pytest.mark.parametrize("turn", [0, 2])
def test_finds_a_faint_face_whatever_noise_it_is_in(exponent: float, turn: int, face: Pixels) -> None:
    noise = 127.5 + coloured(turn, exponent)
    faint = noise + 0.3 * (np.rot90(face, turn) - face.mean())
    assert found(grid(faint), face) > LIMIT > found(grid(np.broadcast_to(noise, face.shape)), face)


def test_flat_images_show_nothing(face: Pixels) -> None:
    assert found(np.full_like(face, 128), face) < LIMIT


def test_products_of_rows_are_those_of_the_images() -> None:
    one, other = np.random.default_rng(0).standard_normal((2, 56, 56))
    rows = [_rows(np.fft.rfft2(image)) for image in (one, other)]
    assert rows[0] @ rows[1] / 56**2 == pytest.approx((one * other).sum(), rel=1e-4)

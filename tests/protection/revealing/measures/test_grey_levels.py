"""Nearness of grey levels in shape: against a published implementation, and in excess of noise's."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from facemin.image import Pixels
from facemin.protection.revealing.measures.grey_levels import grey_levels, level_nearness
from facemin.protection.revealing.resemblance import LEVELS, LIMITS
from tests.protection.revealing.pictures import grid, noise


def normal(seed: int, deviation: float, colours: int) -> NDArray[np.floating]:
    """Normal greys about the middle, in [0, 1], of so many independent colours."""
    greys = np.random.default_rng(seed).normal(0.5, deviation, (112, 112, colours))
    return np.broadcast_to(greys, (112, 112, 3)).clip(0, 1)


def test_equal_ones_are_as_near_as_can_be(face: Pixels) -> None:
    assert level_nearness(face, face) == pytest.approx((1000, 1000))
    assert level_nearness(255 - face, face) == pytest.approx((1000, 1000), rel=0.9)


def test_against_scipy(face: Pixels) -> None:
    """One colour that alone is compared: the Wasserstein distance of standardised levels, but for quantiles."""
    image = grid(face / 2 + np.random.default_rng(0).normal(60, 8, face.shape))
    planes = [np.asarray(x, np.float64) for x in (image[..., 0].ravel(), face[..., 0].ravel())]
    one, other = ((x - x.mean()) / x.std() for x in planes)
    grey = np.repeat(image[..., :1], 3, axis=2), np.repeat(face[..., :1], 3, axis=2)
    assert 1 / level_nearness(*grey)[0] == pytest.approx(wasserstein_distance(one, other), abs=0.02)


def test_flat_images_are_near_to_nothing(face: Pixels) -> None:
    assert level_nearness(np.full_like(face, 128), face) == (0, 0)


def test_noise_is_not_near_to_a_face_whose_greys_are_like_noise() -> None:
    """Of a black-and-white photo three colours say what one says, and under a gamma curve its greys may be normal."""
    photo, image = grid(255 * normal(0, 0.2, 1) ** 1.3), grid(255 * normal(1, 0.23, 3))
    assert level_nearness(image, photo) == (0, 0)
    # while the photo itself, its pixels anywhere, is near enough
    shuffled = np.random.default_rng(2).permutation(photo.reshape(-1, 3)).reshape(photo.shape)
    assert level_nearness(shuffled // 2, photo)[0] > LIMITS[LEVELS[0]]


@pytest.mark.parametrize("seed", range(3))
def test_signs_by_chance_are_folded_away(seed: int, face: Pixels) -> None:
    generator = np.random.default_rng(seed)
    signs = generator.choice([-1, 1], (112 * 112, 1))
    image = grid(127.5 + generator.permutation((face.reshape(-1, 3) - 127.5) * signs)).reshape(face.shape)
    assert level_nearness(image, face)[1] > LIMITS[LEVELS[1]]


def test_noise_shows_no_face(face: Pixels) -> None:
    assert level_nearness(noise(), face) == (0, 0)


def test_levels_are_quantiles_in_quarters_of_a_grey(face: Pixels) -> None:
    levels = grey_levels(face)
    assert levels.shape == (2, 4, 64)
    greys = face[..., 1].ravel()
    np.testing.assert_allclose(levels[0, 1], np.quantile(greys, (np.arange(64) + 0.5) / 64), atol=1)
    np.testing.assert_allclose(levels[1, 1], np.quantile(np.abs(greys - 127.5), (np.arange(64) + 0.5) / 64), atol=1)
    np.testing.assert_array_equal(levels * 4, np.rint(levels * 4))

"""Detectability: what a stand-in for dlib's detector says of bases, and what the contrast of their eyes is."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from facemin.protection.carrier.base import base_of, frame_in
from facemin.protection.carrier.components import FRAME, components, landmarks_in, to_rgb
from facemin.protection.carrier.detection import (
    BINS,
    FILE,
    LARGEST,
    OF_BASE,
    detection_score,
    eye_contrast,
    histograms,
    is_clear,
    is_clear_carrier,
    regression,
)


def unit(image: Image.Image) -> NDArray[np.float32]:
    return np.asarray(image, np.float32) / np.float32(255)


def frame(number: int) -> NDArray[np.float32]:
    return base_of(bytes([number] * 32)).frame


def test_the_contrast_of_eyes_is_that_of_the_lighter_one() -> None:
    grey = np.full((FRAME, FRAME, 3), 0.8, np.float32)
    assert eye_contrast(grey) == pytest.approx(0, abs=1e-5)
    (x, y), (other, _) = landmarks_in(FRAME)[:2].astype(int)
    grey[y - 12 : y + 12, x - 30 : x + 30] = 0.4
    assert eye_contrast(grey) == pytest.approx(0, abs=1e-5)
    grey[y - 12 : y + 12, other - 30 : other + 30] = 0.6
    assert eye_contrast(grey) == pytest.approx(0.25, abs=1e-3)


def test_an_edge_votes_for_its_orientation() -> None:
    step = np.full((FRAME, FRAME, 3), 0.2, np.float32)
    step[:, FRAME // 2 :] = 0.8
    for turns in range(4):
        found = histograms(np.ascontiguousarray(np.rot90(step, turns)))
        assert 0 <= found.min() < found.max() <= LARGEST
        # of the quarters at 0, 90, 180 and 270 degrees, between which 18 orientations lie
        votes = np.roll(found.sum((0, 1)), round(turns * BINS / 4))
        assert votes.argmax() == 0, turns
        assert votes[2:-1].max() < 0.01 * votes.max()
    assert histograms(np.full((FRAME, FRAME, 3), 0.5, np.float32)).max() == 0


def test_lighting_hardly_counts() -> None:
    bright = frame(4)
    assert abs(detection_score(bright) - detection_score(np.asarray(0.7 * bright + 0.1, np.float32))) < 0.2


def test_a_clear_face_has_a_higher_score_than_a_blurred_one_and_no_face_has_none() -> None:
    shown = frame(4)
    picture = Image.fromarray(np.rint(255 * shown).astype(np.uint8))
    scores = [detection_score(unit(picture.filter(ImageFilter.GaussianBlur(radius)))) for radius in (0, 12, 24)]
    assert scores[0] > OF_BASE > scores[1] > scores[2]
    assert detection_score(np.ascontiguousarray(shown[::-1])) < 0.5
    assert detection_score(np.full((FRAME, FRAME, 3), 0.5, np.float32)) < 0.5


def test_a_base_is_clear_by_its_score_and_its_eyes() -> None:
    for number in (4, 16):
        assert is_clear(frame(number))
    # dark eyes, and a face that dlib's detector hardly finds: test_peer.py
    weak = frame(7)
    assert eye_contrast(weak) > 0.25
    assert detection_score(weak) < 1
    assert not is_clear(weak)
    # a clear face with one light eye
    light = frame(4).copy()
    x, y = landmarks_in(FRAME)[0].astype(int)
    light[y - 10 : y + 10, x - 24 : x + 24] = light[y + 40 : y + 60, x - 24 : x + 24].mean((0, 1))
    assert detection_score(light) > OF_BASE
    assert not is_clear(light)


@pytest.mark.parametrize("side", [256, 512, 1024])
def test_a_photo_of_any_size_shows_its_frame(side: int) -> None:
    base = base_of(bytes([4] * 32))
    photo = np.rint(255 * base.at(side)).astype(np.uint8)
    again = unit(frame_in(photo, FRAME, Image.Resampling.BICUBIC))
    assert np.abs(again - base.frame).mean() < 0.02
    assert abs(detection_score(again) - detection_score(base.frame)) < 0.25
    assert is_clear_carrier(photo)
    assert not is_clear_carrier(np.rint(255 * base_of(bytes([7] * 32)).at(side)).astype(np.uint8))


def test_the_regression_is_small_and_says_of_the_mean_face_what_it_says_of_bases() -> None:
    assert FILE.stat().st_size < 10_000
    weights = regression().weights
    assert weights.shape == histograms(frame(1)).shape
    assert np.isfinite(weights).all()
    mean = np.rint(to_rgb(components().mean, FRAME)).clip(0, 255).astype(np.uint8)
    assert detection_score(unit(Image.fromarray(mean))) == pytest.approx(1.7, abs=1)

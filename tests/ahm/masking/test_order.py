"""Orders of channels: what shows, what is left as drawn, and that thirty keys' masks hide an actual face."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import torch
from skimage import data

from facemin.ahm.masking.frequency import CHANNELS, FREQUENCIES
from facemin.ahm.masking.frequency_mask import FrequencyMask
from facemin.ahm.masking.order import ALTERNATING, SAME_PARITY, amplitudes, hiding_order, left_by_signs, shows
from facemin.autograd.pixels import to_tensor, to_unit
from facemin.face import Detector, align
from facemin.keys.key import export_key
from facemin.models import MODELS
from facemin.protection.revealing.resemblance import likenesses

CHANNELS_KEPT = FrequencyMask().channels


def generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def number(colour: int, down: int, across: int) -> int:
    return FREQUENCIES * colour + 8 * down + across


def test_visibility_of_an_order_of_channels() -> None:
    slope = number(0, 0, 1)
    shown = shows()
    # itself, in any colour, and whatever is odd across and even down
    for place in (slope, number(1, 0, 1), number(2, 0, 3), number(0, 2, 1)):
        assert shown[slope, place]
    # steepest alternation, which signs turn into the slope
    assert shown[slope, number(0, 7, 1)]
    assert shown[slope, number(0, 0, 6)]
    assert not shown[slope, number(0, 2, 2)]
    assert not shown[slope, number(1, 2, 2)]
    # of a weak channel nothing shows
    assert not shown[number(2, 4, 4)].any()


def test_no_decision_hangs_on_rounding() -> None:
    assert np.abs(amplitudes() - SAME_PARITY).min() > 1e-5
    assert np.abs(left_by_signs() - ALTERNATING).min() > 1e-6


@pytest.mark.parametrize("seed", range(20))
def test_an_order_is_a_permutation_in_which_nothing_shows(seed: int) -> None:
    order = hiding_order(CHANNELS_KEPT, generator(seed))
    assert sorted(order) == list(CHANNELS_KEPT)
    assert not shows()[CHANNELS_KEPT, order].any()
    assert order == hiding_order(CHANNELS_KEPT, generator(seed))


def test_an_order_that_shows_nothing_is_left_as_it_was_drawn() -> None:
    channels = [number(1, 5, 5), number(1, 7, 7), number(2, 6, 4)]
    drawn = [channels[at] for at in generator(3).permutation(3).tolist()]
    assert not shows()[channels, drawn].any()
    assert hiding_order(channels, generator(3)) == drawn


@pytest.mark.parametrize("kept", [1, 2, 5, 20, 63])
def test_few_channels_get_the_best_there_is(kept: int) -> None:
    channels = FrequencyMask(kept=kept).channels
    for seed in range(5):
        order = hiding_order(channels, generator(seed))
        drawn = [channels[at] for at in generator(seed).permutation(len(channels)).tolist()]
        assert sorted(order) == list(channels)
        assert shows()[channels, order].sum() <= shows()[channels, drawn].sum()


def test_every_channel_may_be_asked_for() -> None:
    assert shows().shape == (CHANNELS, CHANNELS)


def test_thirty_keys_hide_a_face_that_chance_shows() -> None:
    photo = data.astronaut().copy()
    face = align(photo, Detector(threads=1)(photo)[0].points[None])[0]
    keys = [
        export_key(
            MODELS["dlib-resnet29"].graph(),
            "conv7",
            provider="x",
            residual=0.2,
            created=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day),
        )
        for day in range(30)
    ]
    refused = {}
    for hiding in (True, False):
        method = FrequencyMask(hiding=hiding)
        images = [method._masked(to_unit(to_tensor(face))[None], method.order([key]))[0] for key in keys]
        grids = [
            np.ascontiguousarray((image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()) for image in images
        ]
        # an inversion fitted on the image, and local contrast, find the face under any order: not what an order decides
        seen = [
            [x for x in likenesses(grid, face) if "inverting" not in x.measure and "contrast" not in x.measure]
            for grid in grids
        ]
        refused[hiding] = sum(found[0].share >= 1 for found in seen)
    assert refused[True] == 0
    assert refused[False] >= 8

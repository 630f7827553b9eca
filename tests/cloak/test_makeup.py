"""Makeup painted per photo: within its bounds, where makeup goes, and away from the person."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from facemin.cloak.makeup.method import Makeup
from facemin.cloak.makeup.reference import REGIONS, MakeupReference, regions
from facemin.experiments.cloaks.measure import embedded
from facemin.experiments.cloaks.photos import unit
from facemin.face import TEMPLATE
from facemin.models import Recogniser
from facemin.runtime.compute import Compute

CPU = Compute(device="cpu", precision="float32")
QUICK = Makeup(steps=12, rate=0.02)


def test_regions_lie_where_the_template_has_them() -> None:
    where = dict(zip(REGIONS, regions(), strict=True))
    for name, points, inside in (
        ("lips", TEMPLATE[3:].mean(0), True),
        ("lips", TEMPLATE[2], False),
        ("eyelids", TEMPLATE[0] - [0, 6], True),
        ("eyelids", TEMPLATE[0], False),
        ("cheeks", [TEMPLATE[0][0] - 4, TEMPLATE[2][1] + 4], True),
        ("skin", TEMPLATE[2], True),
        ("skin", [3, 3], False),
    ):
        x, y = np.rint(points).astype(int)
        assert (where[name][y, x] > 0.5) == inside, name


def test_references_are_drawn_from_their_seed() -> None:
    first, again, other = (MakeupReference.drawn(seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.colours, again.colours)
    assert (first.colours != other.colours).any()
    assert first.colours.min() >= 0 <= first.strengths.min()


def test_makeup_moves_the_face_away_and_more_so_with_the_adversarial_loss(
    portraits: NDArray[np.uint8], dlib: Recogniser
) -> None:
    plain = embedded(dlib, unit(portraits[:1]))
    cosines = {}
    for weight in (0.0, 4.0):
        artist = replace(QUICK, adversarial=weight).fit(portraits[1:4], [dlib], seed=2, compute=CPU)
        changes = artist.changes(portraits[:1])
        assert changes.shape == (1, 112, 112, 3)
        assert 0 < np.abs(changes).max() <= round(255 * QUICK.amplitude)
        assert np.abs(changes[:, 0]).max() <= 1  # it fades out at the border
        cosines[weight] = float(
            (embedded(dlib, unit((portraits[:1] + changes).clip(0, 255).astype(np.uint8))) * plain).sum()
        )
    assert cosines[4.0] < cosines[0.0] - 0.005


def test_a_photo_is_painted_alike_alone_and_among_others(portraits: NDArray[np.uint8], dlib: Recogniser) -> None:
    artist = replace(QUICK, steps=2).fit(portraits[:1], [dlib], seed=2, compute=CPU)
    together, alone = artist.changes(portraits[:2])[1], artist.changes(portraits[1:2])[0]
    assert np.abs(together - alone).max() <= 3


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"rate": 0.0}, {"amplitude": 2.0}, {"structure": -1.0}, {"adversarial": float("nan")}]
)
def test_settings_out_of_range_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Makeup"):
        Makeup(**wrong)

"""Linking by blurred pixels, and linear maps of plain faces alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from facemin.attack import Budget, FitError, Knowledge, PublicFaces
from facemin.attack.link.pixels import PixelLinking
from facemin.attack.link.plain_pairs import POOR
from facemin.attack.link.ridge_linker import RidgeLinker, RidgeLinking
from facemin.attack.link.student import teach
from facemin.attack.purify.registry import GaussianBlur
from facemin.autograd.pixels import to_grid, to_unit
from tests.attack.attack_contract import known, shuffled
from tests.audit.conftest import people_of_patterns, tiny

ENDLESS = Budget(seconds=float("inf"))


def test_its_cosine_is_the_correlation_of_what_two_blurs_leave() -> None:
    knowledge = known(52)
    assert knowledge.public is not None
    made = PixelLinking().fit(knowledge, ENDLESS)
    images = people_of_patterns(2, 1, seed=7).faces
    blur = GaussianBlur(sigma=2.0)
    heap = shuffled(knowledge.public.faces, ENDLESS)[0]
    means = [blur(blur(part)).mean(0).double().numpy() for part in (heap, knowledge.public.faces)]
    one, other = (blur(blur(image[None]))[0].double().numpy() - mean for image, mean in zip(images, means, strict=True))
    expected = (one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum())
    got = made.apply(images[:1]) @ made.gallery(images[1:]).T
    assert float(got) == pytest.approx(float(expected), abs=1e-4)


def test_reads_images_of_8_bits_as_well() -> None:
    made = PixelLinking().fit(known(52), ENDLESS)
    grid = to_grid(people_of_patterns(3, 1).faces)
    torch.testing.assert_close(made.apply(grid), made.apply(to_unit(grid)))


def test_a_map_of_plain_faces_needs_no_protection_and_takes_what_time_allows() -> None:
    train = PublicFaces(*people_of_patterns(130, 2, seed=3))
    knowledge = Knowledge(public=train, recognisers=(tiny("teacher", 1),))
    assert RidgeLinking(learns_from="blurred").fit(knowledge, ENDLESS).trained_on == 260
    assert 100 <= RidgeLinking(learns_from="blurred").fit(knowledge, Budget(seconds=0)).trained_on < 260


def test_a_centred_map_of_plain_faces_takes_the_mean_of_protected_images_away() -> None:
    plain, centred = (
        RidgeLinking(learns_from="blurred", centred=each).fit(known(52), ENDLESS) for each in (False, True)
    )
    assert isinstance(plain.apply, RidgeLinker)
    assert isinstance(centred.apply, RidgeLinker)
    assert "the mean of 104 protected images taken away" in centred.words
    assert "taken away" not in plain.words
    assert torch.equal(centred.apply.matrix, plain.apply.matrix)
    public = known(52).public
    assert public is not None
    mean = teach(centred.apply.recogniser, shuffled(public.faces, ENDLESS)[0]).mean(0)
    torch.testing.assert_close(centred.apply.centre, mean, rtol=1e-4, atol=1e-5)
    assert float((plain.apply.centre - mean).norm()) > 1e-3


def test_a_centred_map_says_what_it_lacks() -> None:
    attack = RidgeLinking(learns_from="blurred", centred=True)
    with pytest.raises(FitError, match="the protection, to protect faces of its own"):
        attack.fit(replace(known(52), protector=None), ENDLESS)
    few = replace(known(52), protector=lambda faces, _: (faces[:3], torch.arange(3)))
    with pytest.raises(FitError, match="time was left to protect 3 faces"):
        attack.fit(few, ENDLESS)
    with pytest.raises(ValueError, match="centred: expected a map of plain faces"):
        RidgeLinking(centred=True)


def test_refuses_faces_made_poor_in_no_known_way() -> None:
    with pytest.raises(ValueError, match=f"learns_from: expected protected, {', '.join(POOR)}, got 'plain'"):
        RidgeLinking(learns_from="plain")

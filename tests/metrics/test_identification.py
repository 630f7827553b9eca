"""Ranks and open-set rates by hand, and against plain loops."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from facemin.metrics import OpenSet, cmc, open_set, rank_k, ranks


def at_angles(*degrees: float) -> Tensor:
    angles = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
    return torch.stack([angles.cos(), angles.sin()], dim=1)


GALLERY = at_angles(0, 30, 90, 100)
GALLERY_LABELS = torch.tensor([5, 7, 9, 9])


def test_ranks_count_people_by_their_best_enrolment() -> None:
    # At 80 degrees: person 9 (90 and 100) is first, 7 second, 5 third.
    probes = at_angles(80, 80, 80)
    found = ranks(probes, GALLERY, torch.tensor([9, 7, 5]), GALLERY_LABELS)
    assert found.tolist() == [1, 2, 3]
    curve = cmc(probes, GALLERY, torch.tensor([9, 7, 5]), GALLERY_LABELS)
    assert curve.tolist() == pytest.approx([1 / 3, 2 / 3, 1])
    assert rank_k(probes, GALLERY, torch.tensor([9, 7, 5]), GALLERY_LABELS, ks=[3, 1]).tolist() == pytest.approx(
        [1, 1 / 3]
    )


def test_a_matcher_that_returns_a_constant_is_last() -> None:
    same = at_angles(10, 10, 10)
    assert ranks(same, same, torch.arange(3), torch.arange(3)).tolist() == [3, 3, 3]


@given(st.integers(0, 10_000))
@settings(deadline=None)
def test_ranks_agree_with_plain_loops(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    gallery_labels = torch.cat([torch.arange(4), torch.randint(4, (6,), generator=generator)])
    probe_labels = torch.randint(4, (5,), generator=generator)
    # Axes of a cube's faces and corners: ties are frequent and exact.
    pool = torch.cat([torch.eye(4), -torch.eye(4), torch.full((1, 4), 0.5)])
    gallery = pool[torch.randint(9, (10,), generator=generator)]
    probes = pool[torch.randint(9, (5,), generator=generator)]
    expected = []
    for probe, label in zip(probes, probe_labels.tolist(), strict=True):
        best: dict[int, float] = {}
        for row, owner in zip(gallery, gallery_labels.tolist(), strict=True):
            best[owner] = max(best.get(owner, -2.0), float(probe @ row))
        expected.append(1 + sum(score >= best[label] for who, score in best.items() if who != label))
    assert ranks(probes, gallery, probe_labels, gallery_labels).tolist() == expected


def test_open_set_by_hand() -> None:
    probes = at_angles(2, 40, 60, 200, 95)
    labels = torch.tensor([5, 7, 5, 1, 2])
    # 2 deg: found. 40 deg: found. 60 deg of person 5: listed third. Of the two strangers the one at 95 deg
    # is within 10 degrees of person 9; the one at 200 deg is near nobody.
    threshold = math.cos(math.radians(11))
    assert open_set(probes, GALLERY, labels, GALLERY_LABELS, threshold=threshold) == OpenSet(0.5, 1 / 3, 3, 2)
    everybody = open_set(probes, GALLERY, labels, GALLERY_LABELS, threshold=-1.0, rank=3)
    assert everybody == OpenSet(1.0, 0.0, 3, 2)


def test_open_set_without_such_searches_is_nan_not_zero() -> None:
    enrolled = open_set(GALLERY[:1], GALLERY, torch.tensor([5]), GALLERY_LABELS, threshold=0.5)
    assert math.isnan(enrolled.fpir)
    assert enrolled.fnir == 0
    stranger = open_set(GALLERY[:1], GALLERY, torch.tensor([6]), GALLERY_LABELS, threshold=0.5)
    assert math.isnan(stranger.fnir)
    assert stranger.fpir == 1


def test_bad_input_is_named() -> None:
    probe, label = at_angles(0), torch.tensor([5])
    with pytest.raises(ValueError, match="enrolled identities only, got 1"):
        ranks(probe, GALLERY, torch.tensor([6]), GALLERY_LABELS)
    with pytest.raises(ValueError, match=r"1\.\.3"):
        rank_k(probe, GALLERY, label, GALLERY_LABELS, ks=[0, 4])
    with pytest.raises(ValueError, match="rank: expected at least 1"):
        open_set(probe, GALLERY, label, GALLERY_LABELS, threshold=0.5, rank=0)
    with pytest.raises(ValueError, match="one size and type"):
        ranks(probe.float(), GALLERY, label, GALLERY_LABELS)
    with pytest.raises(ValueError, match="probes: expected rows of unit length"):
        ranks(probe * 3, GALLERY, label, GALLERY_LABELS)

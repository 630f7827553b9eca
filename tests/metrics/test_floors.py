"""Floors: what they must be, for any mixture of people."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from facemin.metrics import grey, mean_face, other_person, other_person_rows, psnr, ssim

FACES = torch.rand(6, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def test_mean_face_by_hand() -> None:
    faces = torch.stack([torch.full((3, 2, 2), value) for value in (0.0, 0.25, 0.5)])
    assert torch.equal(mean_face(faces), torch.full((1, 3, 2, 2), 0.25))
    torch.testing.assert_close(mean_face(FACES)[0, 1, 2, 3].item(), sum(FACES[:, 1, 2, 3].tolist()) / 6)


def test_mean_of_many_faces_keeps_its_digits() -> None:
    faces = torch.rand(20_000, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(mean_face(faces).double(), faces.double().mean(0, keepdim=True), atol=1e-6, rtol=0)


def test_grey_survives_eight_bits() -> None:
    image = grey(FACES)
    assert image.shape == (1, 3, 12, 12)
    assert torch.equal(image, (image * 255).round() / 255)
    assert set(grey(FACES.double(), level=0.25).flatten().tolist()) == {0.25}


def test_floors_fit_the_similarities() -> None:
    for floor in (mean_face(FACES), grey(FACES), other_person(FACES, torch.arange(6))):
        for measure in (ssim, psnr):
            assert measure(FACES, floor).shape == (6,)


@given(st.lists(st.integers(-2, 5), min_size=2, max_size=40).map(torch.tensor))
@settings(deadline=None)
def test_no_row_is_paired_with_its_own_person(labels: Tensor) -> None:
    longest = int(torch.unique(labels, return_counts=True)[1].max())
    if 2 * longest > len(labels):
        with pytest.raises(ValueError, match=f"nobody on more than half of {len(labels)} rows, got one on {longest}"):
            other_person_rows(labels)
        return
    rows = other_person_rows(labels)
    assert bool((labels[rows] != labels).all())
    assert rows.sort().values.tolist() == list(range(len(labels)))
    assert torch.equal(rows, other_person_rows(labels))


def test_other_person_by_hand() -> None:
    # Sorted: rows 1, 3 (person 2), then 0, 2 (person 7); rolled by two.
    labels = torch.tensor([7, 2, 7, 2])
    assert other_person_rows(labels).tolist() == [1, 0, 3, 2]
    assert torch.equal(other_person(FACES[:4], labels), FACES[[1, 0, 3, 2]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_face(FACES * 255), r"faces: expected values in \[0, 1\]"),
        (lambda: mean_face(FACES[0]), r"faces: expected \(B, 3, H, W\)"),
        (lambda: grey(FACES, level=128), r"level: expected a value in \[0, 1\], got 128"),
        (lambda: grey(FACES, level=math.nan), "level"),
        (lambda: grey(FACES.byte()), "faces: .* torch.uint8"),
        (lambda: other_person(FACES, torch.arange(5)), r"labels: expected \(6,\), got \(5,\)"),
        (lambda: other_person(FACES, torch.arange(6.0)), "labels: expected integers"),
        (lambda: other_person_rows(torch.arange(0)), "N >= 1"),
        (lambda: other_person_rows(torch.tensor([3])), "more than half of 1 rows"),
    ],
)
def test_bad_input_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()

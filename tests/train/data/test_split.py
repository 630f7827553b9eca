"""Split of people into training and held-out parts."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facemin.train.config import Data
from facemin.train.data.sources import FolderFaces
from facemin.train.data.split import Split, split_people


def split(counts: list[int], **settings: object) -> Split:
    """Person a has counts[0] images, b counts[1], ..."""
    paths = [f"{chr(97 + at)}/{image}.png" for at, count in enumerate(counts) for image in range(count)]
    source = FolderFaces.of(Path(), paths)
    return split_people(source, Data.model_validate({"kind": "folder", "root": ".", **settings}))


def test_by_hand() -> None:
    found = split([2, 1, 3, 2, 2], min_images=2, held_out=("d",))
    assert found.people == ("a", "c", "e")
    assert found.images.tolist() == [0, 1, 3, 4, 5, 8, 9]
    assert found.labels.tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert found.held_out_people == ("d",)
    assert found.held_out_images.tolist() == [6, 7]
    assert found.held_out_identities.tolist() == [3, 3]


@given(st.lists(st.integers(1, 4), min_size=4, max_size=20), st.integers(0, 2), st.integers(0, 99))
def test_a_person_is_in_one_part_of_the_split(counts: list[int], held_out: int, seed: int) -> None:
    found = split(counts, held_out=held_out, split_seed=seed)
    assert len(found.held_out_people) == held_out
    assert not set(found.people) & set(found.held_out_people)
    assert len(found.people) + held_out == len(counts)
    images = torch.cat([found.images, found.held_out_images])
    assert sorted(images.tolist()) == list(range(sum(counts)))
    assert set(found.labels.tolist()) == set(range(len(found.people)))


def test_the_seed_decides_who() -> None:
    drawn = {split([2] * 20, held_out=5, split_seed=seed).held_out_people for seed in range(5)}
    assert len(drawn) == 5
    assert split([2] * 20, held_out=5).held_out_people == split([2] * 20, held_out=5).held_out_people


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"held_out": 4}, "expected at most 3 people, got 4"),
        ({"held_out": 2}, "at least 2 people to train on, got 1"),
        ({"held_out": ("nobody",)}, "such as 'nobody'"),
        ({"held_out": ("b",), "min_images": 2}, "people with at least 2 images.*such as 'b'"),
        ({"min_images": 9}, "at least 2 people to train on, got 0 of 3"),
    ],
)
def test_refuses(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        split([2, 1, 2], **settings)

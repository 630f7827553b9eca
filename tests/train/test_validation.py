"""Validation on held-out people: pairs drawn, and the scores of an ideal and of a guessing network."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from facemin.evaluation.pairs import VerificationSet
from facemin.train.config import Data
from facemin.train.data.sources import FolderFaces, open_source
from facemin.train.data.split import split_people
from facemin.train.validation import held_out_pairs, validate

CPU = torch.device("cpu")


def pairs(counts: list[int], count: int, seed: int = 0) -> tuple[VerificationSet, list[list[tuple[int, int]]]]:
    """Pairs of people with so many images, beside two to train on; and the pairs' owners, genuine first."""
    paths = [f"{at:02d}/{image}.png" for at, number in enumerate([1, 1, *counts]) for image in range(number)]
    source = FolderFaces.of(Path(), paths)
    held = tuple(f"{at + 2:02d}" for at in range(len(counts)))
    split = split_people(source, Data(kind="folder", root=Path(), held_out=held))
    found = held_out_pairs(source, split, count=count, seed=seed)
    assert found.people is not None
    owners = found.people[found.pairs]
    return found, [[(int(a), int(b)) for a, b in owners[found.same == kind]] for kind in (True, False)]


@settings(deadline=None)
@given(st.lists(st.integers(2, 9), min_size=4, max_size=9), st.integers(10, 60), st.integers(0, 9))
def test_pairs_are_what_they_say(counts: list[int], count: int, seed: int) -> None:
    counts[0] = 6
    found, (genuine, impostor) = pairs(counts, count, seed)
    assert all(a == b for a, b in genuine)
    assert all(a != b for a, b in impostor)
    possible = sum(number * (number - 1) // 2 for number in counts)
    assert len(genuine) == min(count, possible)
    assert len(impostor) <= len(genuine)
    assert len({tuple(sorted(pair)) for pair in found.pairs.tolist()}) == len(found.same)
    for fold in torch.tensor_split(found.same, 10):
        assert not len(impostor) == len(genuine) >= 20 or 0 < int(fold.sum()) < len(fold)


def test_people_give_alike_whatever_their_photos() -> None:
    _, (genuine, _) = pairs([40, 5, 3, 40], 43)
    given_by = [sum(a == person for a, _ in genuine) for person in (2, 3, 4, 5)]
    assert given_by[1:3] == [10, 3]
    assert given_by[0] + given_by[3] == 30
    assert abs(given_by[0] - given_by[3]) <= 2


def test_the_seed_decides() -> None:
    first, second, other = (pairs([9, 9, 9], 30, seed)[0].pairs.tolist() for seed in (1, 1, 2))
    assert first == second != other


def test_refuses_one_person() -> None:
    with pytest.raises(ValueError, match=r"data\.held_out: expected at least 2 people"):
        pairs([9], 30)


class Downsample(nn.Module):
    """Tells the made-up people apart: their pattern, centred."""

    def forward(self, faces: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(faces, 16).flatten(1) - 0.5


def test_a_network_that_knows_scores_fully_and_one_that_guesses_does_not(people: Path) -> None:
    data = Data(kind="folder", root=people, aligned=True, held_out=4)
    source = open_source(data, cache=people / "unused")
    found = held_out_pairs(source, split_people(source, data), count=40, seed=0)
    network = Downsample().train()
    knows = validate(network, found, device=CPU, batch=7)
    assert knows == (1.0, 0.0, 80)
    assert network.training

    class Noise(nn.Module):
        def forward(self, faces: Tensor) -> Tensor:
            return torch.randn(len(faces), 8, generator=generator)

    generator = torch.Generator().manual_seed(0)
    guesses = validate(Noise().eval(), found, device=CPU)
    assert 0.2 < guesses.accuracy < 0.8
    assert 0.2 < guesses.eer < 0.8

"""An attacker's own data: nobody on both sides, and nothing protected twice."""

import torch

from facemin.audit import Budget
from facemin.audit.inputs.attackers_data import TrainingPairs, split_people
from tests.audit.conftest import people_of_patterns
from tests.audit.test_rows import tiny_key


def test_a_person_is_in_one_part_of_the_split() -> None:
    people = torch.tensor([5, 5, 1, 2, 3, 4, 9, 9, 8, 7, 6])
    split = split_people(people, seed=0)
    assert set(people[split.learning].tolist()).isdisjoint(people[split.held_out].tolist())
    assert sorted([*split.learning.tolist(), *split.held_out.tolist()]) == list(range(11))
    assert len(torch.unique(people[split.held_out])) == 1


def test_goes_on_where_it_stopped() -> None:
    faces, key = people_of_patterns(12, 2).faces.flip(0), tiny_key()
    training = TrainingPairs()
    first, made = training.protect(faces, [key], Budget(seconds=0), seed=4)
    assert made.tolist() == list(range(16))
    second, all_made = training.protect(faces, [key], Budget(seconds=100), seed=4)
    assert all_made.tolist() == list(range(24))
    assert torch.equal(second[:16], first)
    again, _ = training.protect(faces[:3], [key], Budget(seconds=0), seed=4)
    assert torch.equal(again, first[:3])
    features, expected = key.shallow(first), key.shallow(faces[made])
    assert float(((features - expected).norm(dim=1) / expected.norm(dim=1)).max()) < 0.2

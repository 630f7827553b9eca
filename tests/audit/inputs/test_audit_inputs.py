"""Which faces are compared with which."""

import pytest
import torch

from facemin.audit import AuditInputs

FACES = torch.zeros(7, 3, 112, 112)
NAMES = tuple("abcdefg")


def test_one_pair_a_person_who_has_two_photos() -> None:
    people = torch.tensor([4, 4, 4, 2, 9, 2, 7])
    pairs = AuditInputs(names=NAMES, originals=FACES, protected=FACES, people=people).pairs
    assert not pairs.own
    assert pairs.probes.tolist() == [3, 0]
    assert pairs.references.tolist() == [5, 1]
    assert pairs.people.tolist() == [2, 4]
    assert "another photo of the same person" in pairs.words


def test_pairs_are_of_one_photo_where_no_person_has_two() -> None:
    pairs = AuditInputs(names=NAMES, originals=FACES, protected=FACES, people=torch.arange(7)).pairs
    assert pairs.own
    assert pairs.probes.tolist() == pairs.references.tolist() == list(range(7))
    assert pairs.people.tolist() == list(range(7))
    assert "its own photo" in pairs.words


def test_without_labels_there_are_no_impostor_pairs() -> None:
    pairs = AuditInputs(names=NAMES, originals=FACES, protected=FACES).pairs
    assert pairs.own
    assert len(torch.unique(pairs.people)) == 1


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"originals, protected: expected \(7, 3, 112, 112\)"):
        AuditInputs(names=NAMES, originals=FACES[:6], protected=FACES)
    with pytest.raises(ValueError, match=r"people: expected \(7,\), got \(6,\)"):
        AuditInputs(names=NAMES, originals=FACES, protected=FACES, people=torch.arange(6))

"""Who may be trained and calibrated on: nobody who is tested."""

from dataclasses import replace

import torch

from facemin.attack.contract import PublicFaces
from facemin.audit.inputs.audit_inputs import Faces
from facemin.audit.inputs.prepare import apart, judged_by
from tests.audit.conftest import people_of_patterns


def faces_of(plain: PublicFaces) -> Faces:
    names = tuple(str(row) for row in range(len(plain.faces)))
    return Faces(names=names, originals=plain.faces, protected=plain.faces, people=plain.people)


def test_people_with_an_audited_photo_are_not_trained_on() -> None:
    train = people_of_patterns(5, 3)
    audited = torch.cat([train.faces[4:5], people_of_patterns(2, 1, seed=9).faces])
    kept, remarks = apart(train, audited)
    assert kept is not None
    assert torch.unique(kept.people).tolist() == [0, 2, 3, 4]
    assert len(kept.faces) == len(kept.people) == 12
    assert "1 of the people of --train are audited" in remarks[0]


def test_training_people_apart_from_the_audited_are_kept_and_none_may_remain() -> None:
    train = people_of_patterns(3, 2)
    kept, remarks = apart(train, people_of_patterns(3, 2, seed=9).faces)
    assert kept is train
    assert remarks == []
    assert apart(train, train.faces)[0] is None


def test_thresholds_are_calibrated_on_other_people_where_they_suffice() -> None:
    audited, many, few = people_of_patterns(6, 2), people_of_patterns(46, 1, seed=3), people_of_patterns(4, 1, seed=3)
    sets, remarks = judged_by(faces_of(audited), many, far=1e-3)
    assert [len(one.faces) for one in sets] == [46]
    assert "those other people" in remarks[0]
    sets, remarks = judged_by(faces_of(audited), few, far=1e-3)
    assert [len(one.faces) for one in sets] == [12, 4]
    assert "the audited people too" in remarks[0]
    assert judged_by(replace(faces_of(audited), people=None), None, far=1e-3) == ([], [])

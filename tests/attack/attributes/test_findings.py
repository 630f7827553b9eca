"""Findings about attributes, by hand."""

import math

import pytest
import torch

from facemin.attack.attributes.findings import age_findings, class_findings

PLAIN = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.6, 0.8]])


def test_classes_by_hand() -> None:
    protected = torch.tensor([[0.0, 1.0], [0.0, 1.0], [0.6, 0.8], [0.6, 0.8]])
    found = class_findings(protected, PLAIN)
    torch.testing.assert_close(found.cosine, torch.tensor([0.0, 1.0, 0.6, 1.0], dtype=torch.float64))
    assert found.correct.tolist() == [False, True, False, True]
    assert found.majority == 0.5
    # the first row's: mean of the others is (1.6, 1.8) / 3
    assert float(found.cosine_floor[0]) == pytest.approx(1.6 / math.hypot(1.6, 1.8))


def test_the_truth_decides_where_it_is_known() -> None:
    found = class_findings(PLAIN, PLAIN, torch.tensor([1, 1, 1, 0]))
    assert found.correct.tolist() == [False, True, False, False]
    assert found.majority == 0.75


def test_ages_by_hand() -> None:
    found = age_findings(torch.tensor([30.0, 30.0, 30.0]), torch.tensor([20.0, 40.0, 33.0]))
    assert found.error.tolist() == [10, 10, 3]
    # medians of the other two: 36.5, 26.5, 30
    assert found.floor.tolist() == [16.5, 13.5, 3]


def test_one_face_has_no_floor() -> None:
    assert class_findings(PLAIN[:1], PLAIN[:1]).cosine_floor.isnan().all()
    assert age_findings(torch.tensor([3.0]), torch.tensor([4.0])).floor.isnan().all()


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"truth: expected integers \(4,\), got torch.float32 \(4,\)"):
        class_findings(PLAIN, PLAIN, torch.ones(4))
    with pytest.raises(ValueError, match="expected the same shape"):
        age_findings(torch.ones(2), torch.ones(3))
    with pytest.raises(ValueError, match="expected finite ages"):
        age_findings(torch.tensor([math.nan]), torch.ones(1))

"""PMT's measures: small tables worked out by hand, and the equations again in plain loops."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from facemin import metrics


def at_cosines(*cosines: float) -> Tensor:
    """Rows of the plane at these cosines to (1, 0), of lengths 1, 2, 3, ..."""
    rows = [(c * k, math.sqrt(1 - c * c) * k) for k, c in enumerate(cosines, 1)]
    return torch.tensor(rows, dtype=torch.float64)


def ahead(n: int) -> Tensor:
    return torch.tensor([[1.0, 0.0]], dtype=torch.float64).expand(n, 2)


def noise(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cosine(a: list[float], b: list[float]) -> float:
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.hypot(*a) / math.hypot(*b)


class TestStrictAccuracy:
    def test_its_truth_table(self) -> None:
        # Own original, then other face, above or below 0.2; then whether they are one person.
        table = [
            (0.9, 0.8, True, True),
            (0.9, 0.8, False, False),
            (0.9, 0.1, True, False),
            (0.9, 0.1, False, True),
            (0.1, 0.8, True, False),
            (0.1, 0.8, False, False),
            (0.1, 0.1, True, False),
            (0.1, 0.1, False, False),
        ]
        own, others, same, expected = (list(column) for column in zip(*table, strict=True))
        arguments = (ahead(8), at_cosines(*own), at_cosines(*others), torch.tensor(same))
        rows = metrics.strict_accuracy_rows(*arguments, kappa=0.2)
        assert rows.dtype == torch.bool
        assert rows.tolist() == expected
        assert metrics.strict_accuracy(*arguments, kappa=0.2).item() == 2 / 8
        assert metrics.strict_accuracy(*arguments, kappa=0.2).dtype == torch.float64

    def test_who_refuses_all_has_no_half(self) -> None:
        same = torch.arange(10) % 2 == 0
        assert metrics.strict_accuracy(ahead(10), -ahead(10), -ahead(10), same, kappa=0.2).item() == 0

    @given(st.integers(1, 20), st.sampled_from([-0.5, 0.0, 0.2, 0.5]))
    @settings(deadline=None)
    def test_agrees_with_equation_10_in_plain_loops(self, n: int, kappa: float) -> None:
        protected, original, other = noise(n, 3, seed=1), noise(n, 3, seed=2), noise(n, 3, seed=3)
        same = noise(n, seed=4) > 0
        expected = [
            cosine(p, x1) > kappa and (cosine(p, x2) > kappa) == y
            for p, x1, x2, y in zip(*(t.tolist() for t in (protected, original, other, same)), strict=True)
        ]
        assert metrics.strict_accuracy_rows(protected, original, other, same, kappa=kappa).tolist() == expected
        measured = metrics.strict_accuracy(protected, original, other, same, kappa=kappa)
        assert measured.item() == pytest.approx(sum(expected) / n)


def test_the_threshold_itself_is_not_accepted() -> None:
    # The cosine of (3, 4) to (1, 0) is the double 0.6 exactly.
    a, b = torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0]])
    assert metrics.srra(a, b, kappa=0.6).item() == 0
    assert metrics.srra(a, b, kappa=math.nextafter(0.6, 0)).item() == 1


def test_cos_and_srra_by_hand() -> None:
    reconstructed = at_cosines(0.9, 0.3, 0.1, -0.5)
    assert metrics.mean_cosine(reconstructed, ahead(4)).item() == pytest.approx(0.2)
    assert metrics.srra_rows(reconstructed, ahead(4), kappa=0.2).tolist() == [True, True, False, False]
    assert metrics.srra(reconstructed, ahead(4), kappa=0.2).item() == 0.5
    assert metrics.srra(reconstructed, ahead(4), kappa=0.5).item() == 0.25


class TestUtilityPrivacy:
    def test_by_hand(self) -> None:
        distances = torch.tensor([[0.1, 0.3], [0.5, 0.7], [0.0, 0.4]])
        arguments = (at_cosines(0.9, 0.4, 0.6), ahead(3), distances)
        rows = metrics.utility_privacy_rows(*arguments, kappa=0.5)
        assert rows.utility.tolist() == [1, 0, 1]
        assert rows.privacy.tolist() == pytest.approx([0.2, 0.6, 0.2])
        assert rows.total.tolist() == pytest.approx([1.2, 0.6, 1.2])
        measured = metrics.utility_privacy(*arguments, kappa=0.5)
        assert measured.utility.item() == pytest.approx(2 / 3)
        assert measured.privacy.item() == pytest.approx(1 / 3)
        assert measured.total.item() == pytest.approx(1.0)

    def test_one_model_may_come_without_its_column(self) -> None:
        protected, distances = at_cosines(0.9, 0.4), torch.tensor([0.25, 0.75])
        flat = metrics.utility_privacy(protected, ahead(2), distances, kappa=0.2)
        assert flat == metrics.UtilityPrivacy(torch.tensor(1.0), torch.tensor(0.5))
        assert flat == metrics.utility_privacy(protected, ahead(2), distances[:, None], kappa=0.2)

    def test_untouched_faces_work_and_hide_nothing(self) -> None:
        faces = noise(5, 8, seed=0)
        assert metrics.utility_privacy(faces, faces, torch.zeros(5), kappa=0.5).total.item() == 1


def test_attribute_cosine_by_hand() -> None:
    protected = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    original = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    assert metrics.attribute_cosine_rows(protected, original).tolist() == pytest.approx([0, math.sqrt(0.5)])
    assert metrics.attribute_cosine(protected, original).item() == pytest.approx(math.sqrt(0.5) / 2)


def test_age_difference_by_hand() -> None:
    protected, original = torch.tensor([30.0, 41.5, 7.0]), torch.tensor([33.0, 40.0, 7.0])
    assert metrics.age_difference_rows(protected, original).tolist() == [3.0, 1.5, 0.0]
    assert metrics.age_difference(protected, original).item() == 1.5


ROWS = noise(3, 4, seed=0)
SAME = torch.tensor([True, False, True])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: metrics.strict_accuracy(ROWS, ROWS[:2], ROWS, SAME, kappa=0.2),
            r"protected, original: .*\(3, 4\), \(2, 4\)",
        ),
        (
            lambda: metrics.strict_accuracy(ROWS, ROWS, ROWS[:2], SAME, kappa=0.2),
            r"protected, other: .*\(3, 4\), \(2, 4\)",
        ),
        (
            lambda: metrics.strict_accuracy(ROWS, ROWS, ROWS, SAME.int(), kappa=0.2),
            r"same: expected a bool tensor \(3,\)",
        ),
        (
            lambda: metrics.strict_accuracy(ROWS, ROWS, ROWS, SAME[:2], kappa=0.2),
            r"same: expected a bool tensor \(3,\)",
        ),
        (
            lambda: metrics.strict_accuracy(ROWS, ROWS, ROWS, SAME, kappa=math.nan),
            "kappa: expected a finite cosine, got nan",
        ),
        (
            lambda: metrics.srra(ROWS * 0, ROWS, kappa=0.2),
            "reconstructed: expected finite rows that are not zero, got 3",
        ),
        (lambda: metrics.srra(ROWS, ROWS * math.nan, kappa=0.2), "original: expected finite rows"),
        (lambda: metrics.srra(ROWS[:0], ROWS[:0], kappa=0.2), "N >= 1"),
        (lambda: metrics.mean_cosine(ROWS[:0], ROWS[:0]), "N >= 1"),
        (
            lambda: metrics.utility_privacy(ROWS, ROWS, torch.zeros(2), kappa=0.2),
            r"distances: expected \(3,\) or \(3, K\)",
        ),
        (lambda: metrics.utility_privacy(ROWS, ROWS, torch.zeros(3, 0), kappa=0.2), "distances: .* K >= 1"),
        (
            lambda: metrics.utility_privacy(ROWS, ROWS, torch.full((3, 2), math.inf), kappa=0.2),
            "distances: .* got 6 of 6",
        ),
        (lambda: metrics.attribute_cosine(ROWS, ROWS[:, :2]), "protected, original: expected the same shape"),
        (lambda: metrics.age_difference(ROWS, ROWS), r"expected the same shape \(N,\)"),
        (lambda: metrics.age_difference(ROWS[0], ROWS[0] / 0), "expected finite ages, got 4"),
    ],
)
def test_bad_input_is_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("measure", [metrics.srra, metrics.utility_privacy, metrics.strict_accuracy])
def test_no_threshold_is_taken_for_granted(measure: Callable[..., object]) -> None:
    arguments = {
        "srra": (ROWS, ROWS),
        "utility_privacy": (ROWS, ROWS, torch.zeros(3)),
        "strict_accuracy": (ROWS, ROWS, ROWS, SAME),
    }
    with pytest.raises(TypeError, match="kappa"):
        measure(*arguments[measure.__name__])

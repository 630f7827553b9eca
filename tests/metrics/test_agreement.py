"""Agreement beside labels dealt out at random: against scipy's hypergeometric tail."""

import pytest
import torch
from scipy.stats import hypergeom

from facemin.metrics import permutation_test


def labels(zeros: int, ones: int) -> torch.Tensor:
    return torch.tensor([0] * zeros + [1] * ones)


@pytest.mark.parametrize(("n", "rare", "found", "wrong"), [(20, 2, 2, 0), (104, 10, 8, 5), (40, 20, 12, 8)])
def test_two_classes_are_a_hypergeometric_tail(n: int, rare: int, found: int, wrong: int) -> None:
    truth = labels(n - rare, rare)
    said = labels(n - rare, rare).clone()
    said[:wrong] = 1
    said[n - rare : n - found] = 0
    result = permutation_test(said, truth)
    # with both margins fixed, hits grow by two with each rare item that is found
    exact = float(hypergeom.sf(found - 1, n, rare, found + wrong))
    assert result.p == pytest.approx(exact, abs=4 * (exact / 9999) ** 0.5 + 2e-4)
    assert result.hits == n - wrong - (rare - found)
    share = (found + wrong) / n
    assert result.expected == pytest.approx(share * rare / n + (1 - share) * (1 - rare / n))


def test_always_saying_the_commonest_class_is_chance() -> None:
    result = permutation_test(labels(30, 0), labels(27, 3))
    assert (result.hits, result.p) == (27, 1)
    assert result.expected == pytest.approx(0.9)


def test_seeded_and_never_zero() -> None:
    truth = torch.arange(6)
    first, again = (permutation_test(truth, truth, draws=99, seed=4) for _ in range(2))
    assert first == again
    assert first.p >= 1 / 100


@pytest.mark.parametrize(
    ("said", "truth", "draws"),
    [
        (torch.zeros(3, dtype=torch.long), torch.zeros(2, dtype=torch.long), 9),
        (torch.zeros(3), torch.zeros(3), 9),
        (torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long), 9),
        (labels(1, 1), labels(1, 1), 0),
    ],
    ids=["shapes", "floats", "none", "no draw"],
)
def test_refuses_what_does_not_fit(said: torch.Tensor, truth: torch.Tensor, draws: int) -> None:
    with pytest.raises(ValueError, match="said, truth"):
        permutation_test(said, truth, draws=draws)

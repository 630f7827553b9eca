"""The probe against SciPy and closed forms, and that it never learns from the person it is asked about."""

import numpy as np
import pytest
import torch
from scipy import optimize, special

from facemin.attack.attributes.probe import AttributeProbe, logistic, people_folds, ridge

DRAW = torch.Generator().manual_seed(0)
X = torch.randn(60, 5, generator=DRAW, dtype=torch.float64) * torch.tensor([1.0, 3.0, 0.2, 1.0, 1.0]) + 4
Y = (X[:, 0] - X[:, 1] / 3 > 3).long() + (X[:, 2] > 4.1).long()


def standard(x: torch.Tensor) -> np.ndarray:
    return ((x - x.mean(0)) / x.std(0, correction=0)).numpy()


def test_logistic_reaches_scipys_minimum() -> None:
    model = logistic(X, Y, classes=3, penalty=0.05)
    x, y = standard(X), Y.numpy()

    def loss(flat: np.ndarray) -> float:
        weights, bias = flat[:15].reshape(5, 3), flat[15:]
        scores = x @ weights + bias
        return float(np.mean(special.logsumexp(scores, 1) - scores[np.arange(60), y]) + 0.025 * (weights**2).sum())

    best = optimize.minimize(loss, np.zeros(18), method="BFGS")
    ours = loss(np.concatenate([model.weights.flatten().numpy(), model.bias.numpy()]))
    assert ours == pytest.approx(best.fun, abs=1e-6)
    np.testing.assert_allclose(model.weights.flatten().numpy(), best.x[:15], atol=2e-3)


def test_ridge_equals_the_normal_equations() -> None:
    values = X[:, 0] * 2 - X[:, 3] + 10
    model = ridge(X, values, penalty=0.01)
    x = standard(X)
    expected = np.linalg.solve(x.T @ x + 0.01 * 60 * 5 * np.eye(5), x.T @ (values - values.mean()).numpy())
    np.testing.assert_allclose(model.weights[:, 0].numpy(), expected, atol=1e-9)
    assert float(model.bias) == pytest.approx(float(values.mean()))


def test_constant_features_say_nothing() -> None:
    features = torch.cat([X, torch.ones(60, 2, dtype=torch.float64)], 1)
    assert ridge(features, X[:, 0], penalty=0.01)(features).isfinite().all()


def test_finds_what_can_be_read_in_other_people() -> None:
    people = torch.arange(60) // 2
    labels = (standard(X) @ np.array([1.0, -1.0, 0, 0, 0]) > 0).astype(np.int64)
    said = AttributeProbe().classes(X, torch.from_numpy(labels), people)
    assert float((said.numpy() == labels).mean()) > 0.8
    ages = 30 + 10 * X[:, 1]
    assert float((AttributeProbe().numbers(X, ages, people) - ages).abs().mean()) < 3


def test_never_learns_from_the_person_asked_about() -> None:
    # a feature that names the person tells the label only to who has seen that person
    draw = torch.Generator().manual_seed(1)
    people = torch.arange(30).repeat_interleave(4)
    labels = torch.randint(0, 2, (30,), generator=draw)[people]
    names = torch.nn.functional.one_hot(people).double()
    said = AttributeProbe().classes(names, labels, people)
    assert float((said == labels).double().mean()) < 0.75
    # the same rows, each a person of its own, give the label away
    alone = AttributeProbe().classes(names, labels, torch.arange(120))
    assert float((alone == labels).double().mean()) > 0.9


def test_folds_keep_people_together_and_are_alike_in_size() -> None:
    people = torch.tensor([7, 7, 3, 3, 3, 9, 1, 1, 4, 5])
    fold = people_folds(people, 3, seed=0)
    for person in torch.unique(people):
        assert len(torch.unique(fold[people == person])) == 1
    assert sorted(len(torch.unique(people[fold == one])) for one in range(3)) == [2, 2, 2]


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"people: expected at least as many as folds \(5\), got 3"):
        AttributeProbe().classes(X[:3], Y[:3], torch.arange(3))
    with pytest.raises(ValueError, match="expected \\(N, D\\), \\(N,\\), \\(N,\\)"):
        AttributeProbe().classes(X, Y[:5], torch.arange(60))
    with pytest.raises(ValueError, match="at least 3 folds"):
        AttributeProbe(folds=2)

"""An adaptive attribute attack: a linear probe trained on protected images whose attributes are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class Standardised(NamedTuple):
    """A linear model of features of mean 0 and deviation 1: (x - mean) / deviation @ weights + bias."""

    mean: Tensor
    deviation: Tensor
    weights: Tensor
    """(D, K)."""
    bias: Tensor
    """(K,)."""

    def __call__(self, features: Tensor) -> Tensor:
        """Features (N, D) to (N, K)."""
        return (features.double() - self.mean) / self.deviation @ self.weights + self.bias


@dataclass(frozen=True, kw_only=True)
class AttributeProbe:
    """Predicts every row from other people's rows, with the penalty chosen among those.

    Args:
        folds: people are split into so many parts, at least 3; each is predicted from the others.
        penalties: tried on one of the others after fitting on the rest; the best is kept.
        seed: of the split.
    """

    folds: int = 5
    penalties: tuple[float, ...] = (1e-3, 1e-2, 1e-1, 1.0)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.folds < 3 or not self.penalties or min(self.penalties) <= 0:
            raise ValueError(
                f"folds, penalties: expected at least 3 folds and penalties above 0, got {self.folds}, {self.penalties}"
            )

    def classes(self, features: Tensor, labels: Tensor, people: Tensor) -> Tensor:
        """Predict each row's class by multinomial logistic regression.

        Args:
            features: of the protected images, (N, D).
            labels: (N,) integers from 0.
            people: whose each row is, (N,) integers; at least `folds` people.

        Returns:
            (N,) int64.

        Raises:
            ValueError: shapes do not fit, or there are fewer people than folds.
        """
        _check(features, labels, people)
        kinds = int(labels.max()) + 1
        return self._predicted(
            features,
            labels,
            people,
            fit=lambda x, y, penalty: logistic(x, y, classes=kinds, penalty=penalty),
            score=lambda said, y: float((said.argmax(1) == y).double().mean()),
        ).argmax(1)

    def numbers(self, features: Tensor, values: Tensor, people: Tensor) -> Tensor:
        """Predict each row's number by ridge regression; arguments and errors as `classes`, values (N,) floating."""
        _check(features, values, people)
        return self._predicted(
            features,
            values,
            people,
            fit=lambda x, y, penalty: ridge(x, y, penalty=penalty),
            score=lambda said, y: -float((said[:, 0] - y).abs().mean()),
        )[:, 0]

    def _predicted(
        self,
        features: Tensor,
        truth: Tensor,
        people: Tensor,
        *,
        fit: Callable[[Tensor, Tensor, float], Standardised],
        score: Callable[[Tensor, Tensor], float],
    ) -> Tensor:
        fold = people_folds(people, self.folds, seed=self.seed)
        found: Tensor | None = None
        for out in range(self.folds):
            test, tuning = fold == out, fold == (out + 1) % self.folds
            learning = ~test & ~tuning
            tried = [
                (score(fit(features[learning], truth[learning], penalty)(features[tuning]), truth[tuning]), penalty)
                for penalty in self.penalties
            ]
            said = fit(features[~test], truth[~test], max(tried)[1])(features[test])
            found = said.new_empty(len(features), said.shape[1]) if found is None else found
            found[test] = said
        assert found is not None
        return found


def people_folds(people: Tensor, folds: int, *, seed: int) -> Tensor:
    """Deal people into folds; all rows of a person are in one.

    Args:
        people: (N,) integers.
        folds: at least 2.
        seed: of the order in which they are dealt.

    Returns:
        (N,) int64 in [0, folds).

    Raises:
        ValueError: there are fewer people than folds.
    """
    each, number = torch.unique(people.cpu(), return_inverse=True)
    if len(each) < folds:
        raise ValueError(f"people: expected at least as many as folds ({folds}), got {len(each)}")
    order = torch.randperm(len(each), generator=torch.Generator().manual_seed(seed))
    return (order % folds)[number]


def logistic(features: Tensor, labels: Tensor, *, classes: int, penalty: float, steps: int = 100) -> Standardised:
    """Minimise the mean cross-entropy plus penalty / 2 times the squared weights, by L-BFGS.

    Args:
        features: (N, D).
        labels: (N,) integers in [0, classes).
        classes: K.
        penalty: above 0; the bias is not penalised.
        steps: most iterations.
    """
    mean, deviation, x = _standardised(features)
    weights = x.new_zeros(x.shape[1], classes, requires_grad=True)
    bias = x.new_zeros(classes, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights, bias], max_iter=steps, line_search_fn="strong_wolfe", tolerance_grad=1e-7)

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = F.cross_entropy(x @ weights + bias, labels) + penalty / 2 * weights.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return Standardised(mean, deviation, weights.detach(), bias.detach())


def ridge(features: Tensor, values: Tensor, *, penalty: float) -> Standardised:
    """Minimise the mean squared error plus D * penalty times the squared weights, in closed form.

    Args:
        features: (N, D).
        values: (N,).
        penalty: above 0; the bias is not penalised.
    """
    mean, deviation, x = _standardised(features)
    bias = values.double().mean()
    n, d = x.shape
    # in the rows' space, which is the smaller one for images
    eye = torch.eye(n, dtype=x.dtype, device=x.device)
    weights = x.T @ torch.linalg.solve(x @ x.T + penalty * n * d * eye, values.double() - bias)
    return Standardised(mean, deviation, weights[:, None], bias[None])


def _standardised(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    wide = features.detach().double()
    mean = wide.mean(0)
    deviation = wide.std(0, correction=0)
    # a feature that never changes has nothing to say
    deviation = torch.where(deviation > 0, deviation, torch.inf)
    return mean, deviation, (wide - mean) / deviation


def _check(features: Tensor, truth: Tensor, people: Tensor) -> None:
    n = len(features)
    if features.ndim != 2 or truth.shape != (n,) or people.shape != (n,):
        raise ValueError(
            f"features, truth, people: expected (N, D), (N,), (N,), "
            f"got {tuple(features.shape)}, {tuple(truth.shape)}, {tuple(people.shape)}"
        )

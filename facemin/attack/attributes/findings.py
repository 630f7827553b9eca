"""Attribute findings: agreement of an estimator with labels, beside baselines without the face."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from facemin.metrics import attribute_cosine_rows


class ClassFindings(NamedTuple):
    """Of one attribute that is a class.

    Attributes:
        cosine: of each face's vectors, protected and plain (PMT, equation 11), (N,) float64.
        cosine_floor: cosine of the mean vector of all other plain faces with each plain one, (N,): what somebody gets
            who knows the population and never saw the image; NaN for a single face.
        correct: whether the most likely class is right, (N,) bool.
        majority: share of the commonest class: what always saying it gets.
    """

    cosine: Tensor
    cosine_floor: Tensor
    correct: Tensor
    majority: float


class AgeFindings(NamedTuple):
    """Of an age.

    Attributes:
        error: absolute, years, (N,) float64.
        floor: that of always saying the median of the others' ages, (N,) float64; NaN for a single face.
    """

    error: Tensor
    floor: Tensor


def class_findings(protected: Tensor, plain: Tensor, truth: Tensor | None = None) -> ClassFindings:
    """Compare an estimator's classes on protected faces with those on the plain ones, or with the truth.

    Source: PMT, section 6.2 and equation 11 (the cosine).

    Args:
        protected: probabilities, (N, K), N >= 1.
        plain: of the same faces, plain, (N, K).
        truth: classes, (N,) integers; the estimator's own on the plain faces when None.

    Raises:
        ValueError: shapes do not fit, or a row is zero or not finite.
    """
    cosine = attribute_cosine_rows(protected, plain)
    right = plain.argmax(1) if truth is None else truth
    if right.shape != protected.shape[:1] or right.is_floating_point():
        raise ValueError(f"truth: expected integers ({len(protected)},), got {right.dtype} {tuple(right.shape)}")
    n = len(plain)
    wide = plain.double()
    if n > 1:
        floor = attribute_cosine_rows((wide.sum(0, keepdim=True) - wide) / (n - 1), wide)
    else:
        floor = torch.full((1,), torch.nan, dtype=torch.float64)
    majority = int(torch.unique(right, return_counts=True)[1].max()) / n
    return ClassFindings(cosine, floor, protected.argmax(1).cpu() == right.cpu(), majority)


def age_findings(protected: Tensor, truth: Tensor) -> AgeFindings:
    """Compare ages read from protected faces with the true ones, or with those read from the plain faces.

    Args:
        protected: years, (N,), N >= 1.
        truth: years, (N,).

    Raises:
        ValueError: shapes do not fit, or an age is not finite.
    """
    if protected.ndim != 1 or protected.shape != truth.shape or not len(truth):
        raise ValueError(
            f"protected, truth: expected the same shape (N,), N >= 1, "
            f"got {tuple(protected.shape)}, {tuple(truth.shape)}"
        )
    read, ages = protected.detach().cpu().double(), truth.detach().cpu().double()
    if not bool((read.isfinite() & ages.isfinite()).all()):
        raise ValueError("protected, truth: expected finite ages, got others")
    rows = torch.arange(len(ages))
    medians = [float(ages[rows != row].quantile(0.5)) if len(ages) > 1 else torch.nan for row in rows.tolist()]
    return AgeFindings((read - ages).abs(), (ages - torch.tensor(medians, dtype=torch.float64)).abs())

"""The score of a stranger: the exact law of cosines between uploads under different rotations."""

from __future__ import annotations

import math

_STEPS = 10_000
_TINY = 1e-300
_PRECISION = 1e-16


def stranger_far(cosine: float, dimension: int) -> float:
    """The share of strangers whose cosine exceeds one: two points drawn at random from the unit sphere.

    Half of I at 1 - c^2 with parameters (D - 1) / 2 and 1/2, the regularised incomplete beta function. Exact for
    features; protected images lie a little above it.

    Source: Li, Concise formulas for the area and volume of a hyperspherical cap, 2011.

    Args:
        cosine: in [-1, 1].
        dimension: D of the space, at least 2.

    Raises:
        ValueError: an argument is outside its range.
    """
    _check_dimension(dimension)
    if not -1 <= cosine <= 1:
        raise ValueError(f"cosine: expected a number in [-1, 1], got {cosine}")
    if cosine * cosine * dimension < 1:
        # next to 0, where 1 - c^2 has lost c's digits, by the band between -c and c
        within = regularised_incomplete_beta(0.5, (dimension - 1) / 2, cosine * cosine)
        return (1 - math.copysign(within, cosine)) / 2
    # (1 - c)(1 + c) keeps the digits that 1 - c^2 loses next to 1
    tail = regularised_incomplete_beta((dimension - 1) / 2, 0.5, (1 - cosine) * (1 + cosine)) / 2
    return tail if cosine >= 0 else 1 - tail


def stranger_threshold(far: float, dimension: int) -> float:
    """The cosine that strangers exceed with probability `far`: the inverse of `stranger_far`.

    Args:
        far: in (0, 1).
        dimension: D of the space, at least 2.

    Raises:
        ValueError: an argument is outside its range.
    """
    _check_dimension(dimension)
    if not 0 < far < 1:
        raise ValueError(f"far: expected a fraction in (0, 1), got {far}")
    low, high = -1.0, 1.0
    while (middle := (low + high) / 2) not in (low, high):
        if stranger_far(middle, dimension) > far:
            low = middle
        else:
            high = middle
    # the upper end: the rate there is never above the one asked for
    return high


def identification_threshold(fpir: float, enrolled: int, dimension: int) -> float:
    """The cosine at which a stranger's search among N templates returns anybody with probability `fpir`.

    Under one rotation each the templates are independent points for whoever has none of their secrets, so that the
    pair's rate p solves 1 - (1 - p)^N = fpir.

    Args:
        fpir: in (0, 1).
        enrolled: N, templates searched, at least 1.
        dimension: D of the space, at least 2.

    Raises:
        ValueError: an argument is outside its range.
    """
    if not 0 < fpir < 1:
        raise ValueError(f"fpir: expected a fraction in (0, 1), got {fpir}")
    if enrolled < 1:
        raise ValueError(f"enrolled: expected at least 1, got {enrolled}")
    return stranger_threshold(-math.expm1(math.log1p(-fpir) / enrolled), dimension)


def regularised_incomplete_beta(a: float, b: float, x: float) -> float:
    """I_x(a, b), by its continued fraction (modified Lentz), to about 1e-11 of its value for a, b up to 1e3.

    Source: DLMF 8.17.22; Press et al., Numerical Recipes, 3rd edition, section 6.4.

    Args:
        a: positive.
        b: positive.
        x: in [0, 1].

    Raises:
        ValueError: an argument is outside its range.
        ArithmeticError: the fraction does not converge (a or b beyond some 1e7).
    """
    if not (0 < a < math.inf and 0 < b < math.inf and 0 <= x <= 1):
        raise ValueError(f"a, b, x: expected a > 0, b > 0 and x in [0, 1], got {a}, {b}, {x}")
    if x in (0, 1):
        return float(x)
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    # the fraction converges fast on this side of the mean only
    if x < (a + 1) / (a + b + 2):
        return math.exp(logarithm) * _fraction(a, b, x) / a
    return 1 - math.exp(logarithm) * _fraction(b, a, 1 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    value, upper = 1.0, 1.0
    lower = 1 / _nonzero(1 - (a + b) * x / (a + 1))
    value = lower
    for step in range(1, _STEPS):
        even = step * (b - step) * x / ((a + 2 * step - 1) * (a + 2 * step))
        odd = -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 2 * step + 1))
        for term in (even, odd):
            lower = 1 / _nonzero(1 + term * lower)
            upper = _nonzero(1 + term / upper)
            value *= lower * upper
        if abs(lower * upper - 1) < _PRECISION * 4:
            return value
    raise ArithmeticError(f"incomplete beta: no convergence for a = {a}, b = {b}, x = {x}")


def _nonzero(number: float) -> float:
    return number if abs(number) > _TINY else _TINY


def _check_dimension(dimension: int) -> None:
    if dimension < 2:
        raise ValueError(f"dimension: expected at least 2, got {dimension}")

"""Ranges of settings, declared once and checked when settings are made."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_FORM = re.compile(r"(integer )?([\[(])(\S+), (\S+)([\])])")


def ranges(**intervals: str) -> Callable[[Any], None]:
    """A `__post_init__` that does `check_ranges` alone."""

    def check(settings: Any) -> None:
        check_ranges(settings, **intervals)

    return check


def check_ranges(settings: Any, **intervals: str) -> None:
    """Refuse settings outside their ranges; what is no number lies in none.

    Args:
        settings: whose attributes are read.
        **intervals: by attribute, as mathematics has them: "[1, 32]", "(0, 1)", "[0, inf)"; "integer [1, inf)" takes
            integers alone.

    Raises:
        ValueError: naming the class, the setting, what was expected and what came.
    """
    for name, interval in intervals.items():
        value = getattr(settings, name)
        form = _FORM.fullmatch(interval)
        assert form is not None, interval
        whole, opening, least, most, closing = form.groups()
        low, high = float(least), float(most)
        above = value > low if opening == "(" else value >= low
        below = value < high if closing == ")" else value <= high
        if not (above and below) or (whole and not isinstance(value, int)):
            expected = _words(interval.removeprefix("integer "), low, high, whole=bool(whole))
            raise ValueError(f"{type(settings).__name__} {name}: expected {expected}, got {value!r}")


def _words(interval: str, low: float, high: float, *, whole: bool) -> str:
    if math.isfinite(high):
        return f"{'an integer ' if whole else ''}in {interval}"
    kind = "an integer" if whole else "a finite number"
    if not math.isfinite(low):
        return kind
    return f"{kind} {'above' if interval.startswith('(') else 'of at least'} {low:g}"

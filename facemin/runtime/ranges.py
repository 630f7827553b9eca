"""Ranges of settings, declared once and checked when settings are made."""

from __future__ import annotations

import math
import re
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Settings = TypeVar("Settings")

_FORM = re.compile(r"(integer )?([\[(])(\S+), (\S+)([\])])")


def ranges(intervals: Mapping[str, str]) -> Callable[[type[Settings]], type[Settings]]:
    """A decorator, below that of a dataclass, whose instances then do `check_ranges` when they are made."""

    def declare(kind: type[Settings]) -> type[Settings]:
        kind.__post_init__ = lambda self: check_ranges(self, intervals)  # type: ignore[attr-defined]
        return kind

    return declare


def check_ranges(settings: Any, intervals: Mapping[str, str]) -> None:
    """Refuse settings outside their ranges; what is no number lies in none.

    Args:
        settings: whose attributes are read.
        intervals: from an interval, as mathematics has it ("[1, 32]", "(0, 1)", "[0, inf)"; "integer [1, inf)" takes
            integers alone; an end may be "pi"), to the attributes that lie in it, between spaces.

    Raises:
        ValueError: naming the class, the setting, what was expected and what came.
    """
    for interval, names in intervals.items():
        for name in names.split():
            value = getattr(settings, name)
            if (expected := _missed(interval, value)) is not None:
                raise ValueError(f"{type(settings).__name__} {name}: expected {expected}, got {value!r}")


def _missed(interval: str, value: Any) -> str | None:
    """What was expected where the value is something else."""
    form = _FORM.fullmatch(interval)
    assert form is not None, interval
    whole, opening, least, most, closing = form.groups()
    low, high = (math.pi if end == "pi" else float(end) for end in (least, most))
    numeric: bool = isinstance(value, Integral if whole else Real)
    if numeric:
        above = value > low if opening == "(" else value >= low
        below = value < high if closing == ")" else value <= high
        if above and below:
            return None
    return _words(interval.removeprefix("integer "), low, high, whole=bool(whole))


def _words(interval: str, low: float, high: float, *, whole: bool) -> str:
    if math.isfinite(high):
        return f"{'an integer ' if whole else ''}in {interval}"
    kind = "an integer" if whole else "a finite number"
    if not math.isfinite(low):
        return kind
    return f"{kind} {'above' if interval.startswith('(') else 'of at least'} {low:g}"

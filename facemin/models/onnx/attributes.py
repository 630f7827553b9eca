"""Attributes of ONNX nodes, read with a check, for cost analysis and for execution alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LONGEST_STATIC = 1024
"""Elements of a constant that shapes may be computed from."""

WIDEST_WINDOW = 4096
"""Side of a sliding window, its stride and its border, in pixels."""


def whole(found: Any, what: str) -> list[int]:
    """A list as it is. Raises ValueError where it is anything but a list of integers."""
    if not isinstance(found, list) or not all(isinstance(n, int) and not isinstance(n, bool) for n in found):
        raise ValueError(f"expected {what} to be a list of integers, got {found!r:.80}")
    return found


def integer(attributes: Mapping[str, Any], name: str, default: int) -> int:
    """An integer attribute. Raises ValueError where it has another type."""
    found = attributes.get(name, default)
    if not isinstance(found, int):
        raise ValueError(f"expected attribute {name!r} to be an integer, got {found!r:.80}")  # noqa: TRY004
    return found


def window(attributes: Mapping[str, Any], name: str, length: int, default: int, *, least: int = 1) -> list[int]:
    """A list attribute of a sliding window: `length` integers in [least, 4096]. Raises ValueError where it is not."""
    found = whole(attributes.get(name, [default] * length), f"attribute {name!r}")
    if len(found) != length or not all(least <= n <= WIDEST_WINDOW for n in found):
        raise ValueError(
            f"expected {name!r} to be {length} integers between {least} and {WIDEST_WINDOW}, got {found!r:.80}"
        )
    return found


def only(attributes: Mapping[str, Any], name: str, allowed: Sequence[Any], default: Any) -> Any:
    """An attribute with few supported values. Raises ValueError that lists them."""
    found = attributes.get(name, default)
    if found not in allowed:
        raise ValueError(f"expected {name!r} to be one of {list(allowed)!r}, got {found!r:.80}")
    return found

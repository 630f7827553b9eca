"""Attributes of ONNX nodes, read with a check, for cost analysis and for execution alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

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


class ReadsInputs(Protocol):
    """A node whose attributes and short constant inputs can be read."""

    @property
    def opset(self) -> int:
        """The version of ONNX's own operators it is written for."""

    def optional(self, index: int) -> Any:
        """The input at `index`, or None where it is left out."""

    def integers(self, index: int) -> list[int]:
        """A short constant input of integers."""

    def attribute_or_input(self, name: str, index: int, *, moved: int) -> list[int] | None:
        """Integers that moved from an attribute to an input with opset `moved`."""


def slice_ranges(node: ReadsInputs) -> list[tuple[int, int, int, int]]:
    """Start, end, axis and step of each range of a Slice: attributes before opset 10, inputs from there on.

    Raises:
        ValueError: one is missing, or they do not go together.
    """
    starts = node.attribute_or_input("starts", 1, moved=10)
    ends = node.attribute_or_input("ends", 2, moved=10)
    axes = node.attribute_or_input("axes", 3, moved=10)
    steps = node.integers(4) if node.opset >= 10 and node.optional(4) else None
    if starts is None or ends is None:
        raise ValueError("expected starts and ends")
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise ValueError(f"expected as many starts, ends, axes and steps other than 0, got {starts, ends, axes, steps}")
    return list(zip(starts, ends, axes, steps, strict=True))


def only(attributes: Mapping[str, Any], name: str, allowed: Sequence[Any], default: Any) -> Any:
    """An attribute with few supported values. Raises ValueError that lists them."""
    found = attributes.get(name, default)
    if found not in allowed:
        raise ValueError(f"expected {name!r} to be one of {list(allowed)!r}, got {found!r:.80}")
    return found

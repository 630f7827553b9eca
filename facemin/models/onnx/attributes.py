"""Inputs and attributes of ONNX nodes, read with a check, for cost analysis and for execution alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LONGEST_STATIC = 1024
"""Elements of a constant that shapes may be computed from."""

WIDEST_WINDOW = 4096
"""Side of a sliding window, its stride and its border, in pixels."""

Input = TypeVar("Input")


class NodeReader(ABC, Generic[Input]):
    """What is read of a node, whatever is known of its inputs; what is not as expected is a ValueError.

    Attributes:
        opset: the version of ONNX's own operators it is written for.
        inputs: in order; None where an optional one is left out.
        attributes: by name.
    """

    opset: int
    inputs: tuple[Input | None, ...]
    attributes: Mapping[str, Any]

    @abstractmethod
    def numbers(self, index: int) -> list[Any]:
        """The elements of a short constant input."""

    def value(self, index: int) -> Input:
        """The input at `index`, which must not be left out."""
        found = self.optional(index)
        if found is None:
            raise ValueError(f"expected an input number {index + 1}, but the node has none")
        return found

    def optional(self, index: int) -> Input | None:
        """The input at `index`, or None where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def integers(self, index: int) -> list[int]:
        """The elements of a short constant input of integers."""
        return whole(self.numbers(index), f"input number {index + 1}")

    def attribute_or_input(self, name: str, index: int, *, moved: int) -> list[int] | None:
        """Integers that moved from an attribute to an input with opset `moved`; None where the file has none."""
        if self.opset >= moved:
            return None if self.optional(index) is None else self.integers(index)
        found = self.attributes.get(name)
        return None if found is None else whole(found, f"attribute {name!r}")

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        found = self.attributes.get(name, default)
        if not isinstance(found, int):
            raise ValueError(f"expected attribute {name!r} to be an integer, got {found!r:.80}")  # noqa: TRY004
        return found

    def window(self, name: str, length: int, default: int, *, least: int = 1) -> list[int]:
        """A list attribute of a sliding window: `length` integers in [least, 4096]."""
        found = whole(self.attributes.get(name, [default] * length), f"attribute {name!r}")
        if len(found) != length or not all(least <= n <= WIDEST_WINDOW for n in found):
            raise ValueError(
                f"expected {name!r} to be {length} integers between {least} and {WIDEST_WINDOW}, got {found!r:.80}"
            )
        return found

    def only(self, name: str, allowed: Sequence[Any], default: Any) -> Any:
        """An attribute with few supported values."""
        found = self.attributes.get(name, default)
        if found not in allowed:
            raise ValueError(f"expected {name!r} to be one of {list(allowed)!r}, got {found!r:.80}")
        return found

    def slice_ranges(self) -> list[tuple[int, int, int, int]]:
        """Start, end, axis and step of each range of a Slice: attributes before opset 10, inputs from there on."""
        starts = self.attribute_or_input("starts", 1, moved=10)
        ends = self.attribute_or_input("ends", 2, moved=10)
        axes = self.attribute_or_input("axes", 3, moved=10)
        steps = self.integers(4) if self.opset >= 10 and self.optional(4) else None
        if starts is None or ends is None:
            raise ValueError("expected starts and ends")
        axes = list(range(len(starts))) if axes is None else axes
        steps = [1] * len(starts) if steps is None else steps
        if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
            raise ValueError(
                f"expected as many starts, ends, axes and steps other than 0, got {starts, ends, axes, steps}"
            )
        return list(zip(starts, ends, axes, steps, strict=True))


def whole(found: Any, what: str) -> list[int]:
    """A list as it is. Raises ValueError where it is anything but a list of integers."""
    if not isinstance(found, list) or not all(isinstance(n, int) and not isinstance(n, bool) for n in found):
        raise ValueError(f"expected {what} to be a list of integers, got {found!r:.80}")
    return found

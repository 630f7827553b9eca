"""What an operator's builder is given, and what it hands back.

A graph is read at a batch of one and lifted over rows: every value that depends on the image has its batch
axis first, and a builder refuses whatever would mix rows. So a file written for a batch of one serves any batch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Run = Callable[..., Any]

LONGEST_STATIC = 1024
LARGEST_INTERMEDIATE = 1 << 28
WIDEST_WINDOW = 4096


@dataclass(frozen=True, kw_only=True)
class Value:
    """One input of a node, known before anything runs.

    Args:
        shape: its dimensions at a batch of one.
        dtype: torch's type of its elements.
        constant: its elements where they do not depend on the image (on the meta device where only the shape
            matters so far), else None.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    constant: Tensor | None = None

    @property
    def batched(self) -> bool:
        """Whether the value depends on the image, so that its first axis is the batch."""
        return self.constant is None

    @property
    def rank(self) -> int:
        """Number of axes, the batch's included."""
        return len(self.shape)


@dataclass(frozen=True)
class Lowered:
    """A node made ready to run.

    Args:
        run: called with the tensors named by `inputs`; returns a tensor, or a tuple where the node has several.
        inputs: for each argument of `run` the index of the node's input, or a new constant.
        taps: elementary operations per element of the output; for the limit on work.
    """

    run: Run
    inputs: tuple[int | Tensor, ...] = (0,)
    taps: int = 1


@dataclass(frozen=True, kw_only=True)
class Node:
    """One ONNX node with its attributes as Python values.

    Args:
        op: the operator's name.
        opset: the version of the default domain it is written for.
        attributes: attribute values by name: int, float, str, tensor, or a list of those.
        inputs: its inputs in order; None where an optional one is left out.
        outputs: how many outputs it has.
    """

    op: str
    opset: int
    attributes: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[Value | None, ...] = ()
    outputs: int = 1

    def value(self, index: int) -> Value:
        """The input at `index`. Raises ValueError where it is missing."""
        found = self.optional(index)
        if found is None:
            raise ValueError(f"expected an input number {index + 1}, but the node has none")
        return found

    def optional(self, index: int) -> Value | None:
        """The input at `index`, or None where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def present(self) -> tuple[int, ...]:
        """The indices of all inputs that are not left out."""
        return tuple(i for i, value in enumerate(self.inputs) if value is not None)

    def numbers(self, index: int) -> list[Any]:
        """The elements of a short constant input. Raises ValueError where it depends on the image or is long."""
        value = self.value(index)
        if value.constant is None or value.constant.is_meta:
            raise ValueError(f"expected input number {index + 1} to be a short constant, not computed from the image")
        if value.constant.numel() > LONGEST_STATIC:
            raise ValueError(f"expected at most {LONGEST_STATIC} elements in input number {index + 1}")
        return list(value.constant.reshape(-1).tolist())

    def integers(self, index: int) -> list[int]:
        """The same, where the elements are integers. Raises ValueError where they are not."""
        return whole(self.numbers(index), f"input number {index + 1}")

    def attribute_or_input(self, name: str, index: int, *, moved: int) -> list[int] | None:
        """Integers that moved from an attribute to an input with opset `moved`; None where the file has none."""
        if self.opset >= moved:
            return None if self.optional(index) is None else self.integers(index)
        found = self.attributes.get(name)
        return None if found is None else whole(found, f"attribute {name!r}")

    def integer(self, name: str, default: int) -> int:
        """An integer attribute. Raises ValueError where it has another type."""
        found = self.attributes.get(name, default)
        if not isinstance(found, int):
            raise ValueError(f"expected attribute {name!r} to be an integer, got {found!r:.80}")  # noqa: TRY004
        return found

    def number(self, name: str, default: float) -> float:
        """A finite float attribute. Raises ValueError where it has another type."""
        found = self.attributes.get(name, default)
        if not isinstance(found, int | float):
            raise ValueError(f"expected attribute {name!r} to be a number, got {found!r:.80}")  # noqa: TRY004
        return float(found)

    def text(self, name: str, default: str) -> str:
        """A string attribute. Raises ValueError where it has another type."""
        found = self.attributes.get(name, default)
        if not isinstance(found, str):
            raise ValueError(f"expected attribute {name!r} to be a string, got {found!r:.80}")  # noqa: TRY004
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
        """An attribute with few supported values. Raises ValueError that lists them."""
        found = self.attributes.get(name, default)
        if found not in allowed:
            raise ValueError(f"expected {name!r} to be one of {list(allowed)!r}, got {found!r:.80}")
        return found


def whole(found: Any, what: str) -> list[int]:
    """A list as it is. Raises ValueError where it is anything but a list of integers."""
    if not isinstance(found, list) or not all(isinstance(n, int) and not isinstance(n, bool) for n in found):
        raise ValueError(f"expected {what} to be a list of integers, got {found!r:.80}")
    return found


def check_intermediate(elements: int, what: str) -> None:
    """Raises ValueError where an operator would need a scratch space beyond 2**28 elements for one image."""
    if elements > LARGEST_INTERMEDIATE:
        raise ValueError(f"expected {what} of at most {LARGEST_INTERMEDIATE} elements, got {elements}")


def axis_of(value: Value, axis: int) -> int:
    """`axis` counted from the front. Raises ValueError where it is out of range or the batch's own."""
    if not -value.rank <= axis < value.rank:
        raise ValueError(f"expected an axis of a value of shape {value.shape}, got {axis}")
    axis %= value.rank
    if value.batched and axis == 0:
        raise ValueError("the node works across the batch axis, so images would not be independent of each other")
    return axis

"""Static knowledge of values and nodes, before a graph is run."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import AttributeProto, TensorProto, helper

from facemin.models.onnx.attributes import LONGEST_STATIC, NodeReader

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from onnx import NodeProto

FLOATS = frozenset({TensorProto.FLOAT, TensorProto.DOUBLE})


@dataclass(frozen=True, kw_only=True)
class StaticValue:
    """A value at a batch of one.

    Args:
        shape: its dimensions.
        kind: ONNX's number of its element type.
        batched: whether it depends on the image.
        place: which axis is the batch's; None where it was merged with another, or nothing depends on the image.
        elements: those of a constant, where they are few and known.
    """

    shape: tuple[int, ...]
    kind: int
    batched: bool = False
    place: int | None = None
    elements: NDArray[Any] | None = None

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)


@dataclass(frozen=True, kw_only=True)
class StaticNode(NodeReader[StaticValue]):
    """A node with its attributes as Python values.

    Args:
        op: the operator's name.
        opset: the version of ONNX's own operators it is written for.
        inputs: in order; None where an optional one is left out.
        attributes: by name.
        outputs: how many of its outputs count.
    """

    op: str
    opset: int
    inputs: tuple[StaticValue | None, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    outputs: int = 1

    @property
    def batched(self) -> list[StaticValue]:
        """The inputs that depend on the image."""
        return [value for value in self.inputs if value is not None and value.batched]

    def numbers(self, index: int) -> list[Any]:
        """The elements of a short constant input. Raises ValueError where it depends on the image or is long."""
        value = self.value(index)
        if value.elements is None:
            raise ValueError(
                f"expected input number {index + 1} to be a constant of at most {LONGEST_STATIC} elements, "
                "not computed from the image"
            )
        return list(value.elements.reshape(-1).tolist())

    def axis(self, value: StaticValue, axis: int) -> int:
        """An axis counted from the front. Raises ValueError where it is out of range or the batch's own."""
        if not -value.rank <= axis < value.rank:
            raise ValueError(f"expected an axis of a value of shape {value.shape}, got {axis}")
        axis %= value.rank
        if value.batched and axis == value.place:
            raise ValueError("the node works across the batch axis, so images would not be independent of each other")
        return axis


def attributes_of(node: NodeProto) -> dict[str, Any]:
    """A node's attributes by name; tensors stay as they are. Raises ValueError for other types, and for no numbers."""
    kinds = {AttributeProto.INT, AttributeProto.FLOAT, AttributeProto.INTS, AttributeProto.FLOATS}
    kinds |= {AttributeProto.STRING, AttributeProto.TENSOR}
    found: dict[str, Any] = {}
    for attribute in node.attribute:
        if attribute.type not in kinds:
            raise ValueError(f"attribute {attribute.name!r:.80} has a type that is not allowed here")
        value = helper.get_attribute_value(attribute)
        if attribute.type in (AttributeProto.FLOAT, AttributeProto.FLOATS):
            numbers = [value] if attribute.type == AttributeProto.FLOAT else list(value)
            # a bound of a Clip may be infinite, no number may be none
            if any(number != number for number in numbers):
                raise ValueError(f"expected a number in attribute {attribute.name!r:.80}, got NaN")
            if attribute.name not in ("min", "max") and not all(isfinite(number) for number in numbers):
                raise ValueError(f"expected attribute {attribute.name!r:.80} to be a finite number, got {value!r:.80}")
        if isinstance(value, bytes):
            value = value.decode("utf-8", errors="replace")
        found[attribute.name] = list(value) if attribute.type in (AttributeProto.INTS, AttributeProto.FLOATS) else value
    return found


def finite(elements: NDArray[Any]) -> bool:
    """Whether an array holds finite numbers only."""
    return elements.dtype.kind != "f" or bool(np.isfinite(elements).all())

"""Interface of operator builders: their arguments and their result.

A graph is read at a batch of one and lifted over rows: every value that depends on the image has its rows first,
and a builder refuses whatever would mix them. So a file written for a batch of one serves any batch.

Where the file itself has the batch axis elsewhere (attention moves it behind other axes, or merges it with them),
the value is `lifted`: rows come first, then all axes that the file gives one row, its batch axis of one among them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from facemin.models.onnx.attributes import LONGEST_STATIC, NodeReader

Run = Callable[..., Any]

KEPT = -1
"""Of a result's batch axis: where that of the inputs is."""


@dataclass(frozen=True, kw_only=True)
class Value:
    """One input of a node, known before anything runs.

    Args:
        shape: its dimensions at a batch of one.
        dtype: torch's type of its elements.
        constant: its elements where they do not depend on the image (on the meta device where only the shape
            matters so far), else None.
        lifted: whether rows come before all the axes that the file has, instead of in place of its first.
        place: which of the file's axes is the batch's; None where it was merged with another.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    constant: Tensor | None = None
    lifted: bool = False
    place: int | None = 0

    @property
    def batched(self) -> bool:
        """Whether the value depends on the image, so that its first axis is the batch."""
        return self.constant is None

    @property
    def rank(self) -> int:
        """Number of axes, the rows' included."""
        return len(self.shape)

    @property
    def written(self) -> tuple[int, ...]:
        """Its dimensions as the file has them, for one image."""
        return self.shape[1:] if self.lifted else self.shape


@dataclass(frozen=True)
class Lowered:
    """A node made ready to run.

    Args:
        run: called with the tensors named by `inputs`; returns a tensor, or a tuple where the node has several.
        inputs: for each argument of `run` the index of the node's input, or a new constant.
        taps: elementary operations per element of the output; for the limit on work.
        place: which axis of a lifted result is the batch's.
    """

    run: Run
    inputs: tuple[int | Tensor, ...] = (0,)
    taps: int = 1
    place: int | None = KEPT


@dataclass(frozen=True, kw_only=True)
class Node(NodeReader[Value]):
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

    def number(self, name: str, default: float) -> float:
        """A finite float attribute. Raises ValueError where it has another type."""
        found = self.attributes.get(name, default)
        if not isinstance(found, int | float) or not isfinite(found):
            raise ValueError(f"expected attribute {name!r} to be a finite number, got {found!r:.80}")
        return float(found)

    def text(self, name: str, default: str) -> str:
        """A string attribute. Raises ValueError where it has another type."""
        found = self.attributes.get(name, default)
        if not isinstance(found, str):
            raise ValueError(f"expected attribute {name!r} to be a string, got {found!r:.80}")  # noqa: TRY004
        return found


class BatchMovedError(ValueError):
    """The batch axis would not be the first any more: the node has to be built anew on lifted values."""


def axis_of(value: Value, axis: int) -> int:
    """The file's `axis`, counted from the front. Raises ValueError where it is out of range or the batch's own."""
    rank = len(value.written)
    if not -rank <= axis < rank:
        raise ValueError(f"expected an axis of a value of shape {value.written}, got {axis}")
    axis %= rank
    if value.batched and axis == value.place:
        raise ValueError("the node works across the batch axis, so images would not be independent of each other")
    return axis + value.lifted


def place_without(value: Value, taken: Iterable[int]) -> int | None:
    """Where the batch axis lies once axes (as `axis_of` gives them) are taken out."""
    if value.place is None:
        return None
    return value.place - sum(axis - value.lifted < value.place for axis in taken)

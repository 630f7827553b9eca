"""What is known of a graph's values and steps, however it is to be run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from facemin.models.onnx.operators import WITH_OPTIONAL_OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    import onnx
    from onnx import NodeProto


@dataclass(frozen=True, kw_only=True)
class KnownGraph:
    """What is known of a graph's values before it is run.

    Args:
        inputs: names of the images it takes.
        outputs: names of what it gives.
        shapes: of every value that depends on the images, at a batch of one.
        macs: multiply-accumulates by the step's first output, for one image.
        inner: values whose batch axis is not the first: they serve inside the graph alone.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: dict[str, tuple[int, ...]]
    macs: dict[str, int]
    inner: frozenset[str] = frozenset()


@dataclass(frozen=True)
class GraphStep:
    """A node that depends on the images.

    Args:
        op: the operator's name.
        inputs: names of what it takes.
        outputs: names of those of its outputs that count.
    """

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


AnyStep = TypeVar("AnyStep", bound=GraphStep)


def used_outputs(proto: NodeProto, used: Container[str]) -> list[str]:
    """A node's outputs without the optional ones at the end that nothing uses: a mask, indices, statistics."""
    outputs = list(proto.output)
    while len(outputs) > 1 and (
        not outputs[-1] or (proto.op_type in WITH_OPTIONAL_OUTPUTS and outputs[-1] not in used)
    ):
        outputs.pop()
    return outputs


def live_steps(steps: Sequence[AnyStep], outputs: Iterable[str]) -> list[AnyStep]:
    """The steps that the named outputs need, in order."""
    needed, kept = set(outputs), []
    for step in reversed(steps):
        if needed.intersection(step.outputs):
            needed.update(step.inputs)
            kept.append(step)
    return kept[::-1]


def image_shape(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """The declared shape of a graph input at a batch of one. Raises ValueError where a dimension is not fixed."""
    dims = value.type.tensor_type.shape.dim
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in dims)
    if not shape or shape[0] not in (None, 1):
        raise ValueError(f"input {value.name!r:.80}: expected a first dimension that is free or 1, got {list(shape)}")
    rest = tuple(n for n in shape[1:] if n is not None and n > 0)
    if len(rest) != len(shape) - 1:
        raise ValueError(f"input {value.name!r:.80}: expected fixed sides, all above 0, got {list(shape)}")
    return (1, *rest)

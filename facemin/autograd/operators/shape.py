"""Builders for operators that move, split, join or name axes; shapes are those of one image, lifted over rows."""

from functools import partial
from itertools import pairwise
from math import prod

import torch
from torch import Tensor

from facemin.autograd.operator_api import (
    KEPT,
    BatchMovedError,
    Lowered,
    Node,
    Run,
    Value,
    axis_of,
    place_without,
)
from facemin.autograd.operators.pointwise import check_broadcast
from facemin.models.onnx.attributes import LONGEST_STATIC, whole

TYPES = {1: torch.float32, 6: torch.int32, 7: torch.int64, 9: torch.bool, 11: torch.float32}
"""torch's type for ONNX's; a double counts as the module's own float type."""

ELEMENTS = 1 << 40


def _reshape(x: Tensor, *, shape: tuple[int, ...]) -> Tensor:
    return x.reshape(shape)


def _reshape_rows(x: Tensor, *, shape: tuple[int, ...]) -> Tensor:
    return x.reshape(x.shape[0], *shape)


def _reshaped(x: Value, shape: list[int], place: int | None = KEPT) -> Lowered:
    if not x.batched:
        return Lowered(partial(_reshape, shape=tuple(shape)))
    if x.lifted:
        place = _place_after(x, shape) if place == KEPT else place
        return Lowered(partial(_reshape_rows, shape=tuple(shape)), place=place)
    if not shape or shape[0] != 1:
        raise BatchMovedError(f"reshaping {x.shape} to {shape} would move the batch axis from the front")
    return Lowered(partial(_reshape_rows, shape=tuple(shape[1:])))


def _place_after(x: Value, shape: list[int]) -> int | None:
    """Where the batch axis lies in another shape: behind as many elements as before; None where it is merged."""
    if x.place is None:
        return 0 if shape[:1] == [1] else None
    before = prod(x.written[: x.place])
    return next((i for i, n in enumerate(shape) if n == 1 and prod(shape[:i]) == before), None)


def flattens(run: Run) -> bool:
    """Whether a prepared step puts all axes but the batch's into one."""
    return isinstance(run, partial) and run.func is _reshape_rows and len(run.keywords["shape"]) == 1


def reshape(node: Node) -> Lowered:
    """Another shape for the same elements; 0 copies a dimension, -1 fills up."""
    x, target = node.value(0), node.integers(1)
    if not node.integer("allowzero", 0):
        target = [x.written[i] if n == 0 and i < len(x.written) else n for i, n in enumerate(target)]
    known = prod(n for n in target if n != -1)
    if target.count(-1) > 1 or any(n < -1 for n in target) or (-1 in target and (known <= 0 or prod(x.shape) % known)):
        raise ValueError(f"cannot reshape {x.shape} to {target}")
    target = [prod(x.shape) // known if n == -1 else n for n in target]
    if prod(target) != prod(x.shape):
        raise ValueError(f"cannot reshape {x.shape} to {target}")
    return _reshaped(x, target)


def flatten(node: Node) -> Lowered:
    """All axes from `axis` on as one, all before as another."""
    x, axis = node.value(0), node.integer("axis", 1)
    rank = len(x.written)
    if not -rank <= axis <= rank:
        raise ValueError(f"expected an axis of a value of shape {x.written}, got {axis}")
    axis = axis % rank if axis < 0 else axis
    return _reshaped(x, [prod(x.written[:axis]), prod(x.written[axis:])])


def _permute(x: Tensor, *, order: list[int]) -> Tensor:
    return x.permute(order)


def transpose(node: Node) -> Lowered:
    """Axes in another order; the batch stays first."""
    x = node.value(0)
    rank = len(x.written)
    order = whole(node.attributes.get("perm", list(range(rank)[::-1])), "attribute 'perm'")
    if sorted(order) != list(range(rank)):
        raise ValueError(f"expected an order of {rank} axes, got {order!r:.80}")
    if x.lifted:
        place = None if x.place is None else order.index(x.place)
        return Lowered(partial(_permute, order=[0, *(axis + 1 for axis in order)]), place=place)
    if x.batched and order[0] != 0:
        raise BatchMovedError(f"the order {order} moves the batch axis from the front")
    return Lowered(partial(_permute, order=order))


def _new_shape(x: Value, axes: list[int]) -> list[int]:
    rank = len(x.written) + len(axes)
    if any(not -rank <= axis < rank for axis in axes) or len({axis % rank for axis in axes}) != len(axes):
        raise ValueError(f"expected distinct new axes among {rank}, got {axes}")
    places = {axis % rank for axis in axes}
    if x.batched and not x.lifted and 0 in places:
        raise BatchMovedError("a new axis before the batch axis would move it from the front")
    rest = iter(x.written)
    return [1 if place in places else next(rest) for place in range(rank)]


def unsqueeze(node: Node) -> Lowered:
    """New axes of length one: an attribute before opset 13, an input from there on."""
    x, axes = node.value(0), node.attribute_or_input("axes", 1, moved=13)
    if axes is None:
        raise ValueError("expected the new axes, got none")
    shape = _new_shape(x, axes)
    old = [axis for axis in range(len(shape)) if axis not in {new % len(shape) for new in axes}]
    return _reshaped(x, shape, None if x.place is None or not x.batched else old[x.place])


def squeeze(node: Node) -> Lowered:
    """Axes of length one taken out; without a list all of them, except the batch's."""
    x, axes = node.value(0), node.attribute_or_input("axes", 1, moved=13)
    if axes is None:
        axes = [i for i, n in enumerate(x.written) if n == 1 and not (x.batched and i == x.place)]
    found = {axis_of(x, axis) for axis in axes}
    if any(x.shape[axis] != 1 for axis in found):
        raise ValueError(f"cannot take out axes {sorted(found)} of shape {x.shape}: expected length 1")
    left = [n for i, n in enumerate(x.shape) if i not in found]
    return _reshaped(x, left[x.lifted :], place_without(x, found))


def _expand(x: Tensor, *, shape: list[int]) -> Tensor:
    return x.expand(shape)


def expand(node: Node) -> Lowered:
    """Axes of length one repeated to a shape."""
    x, target = node.value(0), node.integers(1)
    rank = max(len(x.written), len(target))
    padded = [1] * (rank - len(target)) + target
    repeats = x.place is not None and padded[x.place : x.place + 1] not in ([1], [])
    if x.batched and (len(x.written) != rank or repeats):
        raise ValueError(f"expanding {x.written} to {target} would move or repeat the batch axis")
    own = [1] * (rank - len(x.written)) + list(x.written)
    shape = [n if wanted == 1 else wanted for n, wanted in zip(own, padded, strict=True)]
    if any(n < 0 for n in shape) or prod(shape) > ELEMENTS:
        raise ValueError(f"cannot expand {x.shape} to {target}")
    return Lowered(partial(_expand, shape=[-1, *shape[not x.lifted :]] if x.batched else shape))


def _tile(x: Tensor, *, repeats: list[int]) -> Tensor:
    return x.repeat(repeats)


def tile(node: Node) -> Lowered:
    """The tensor repeated along its axes."""
    x, repeats = node.value(0), node.integers(1)
    if len(repeats) != len(x.written) or any(n < 1 for n in repeats) or prod(repeats) * prod(x.shape) > ELEMENTS:
        raise ValueError(f"cannot repeat {x.shape} by {repeats}")
    if x.batched and x.place is not None and repeats[x.place] != 1:
        raise ValueError("repeating the batch axis would move rows")
    return Lowered(partial(_tile, repeats=[1] * x.lifted + repeats))


def _concat(*tensors: Tensor, axis: int) -> Tensor:
    return torch.cat(tensors, axis)


def _concat_rows(*tensors: Tensor, axis: int) -> Tensor:
    rows = max(t.shape[0] for t in tensors)
    return torch.cat([t.expand(rows, *t.shape[1:]) for t in tensors], axis)


def concat(node: Node) -> Lowered:
    """Tensors joined along an axis; a constant beside a batched one is repeated for each row."""
    values = [node.value(i) for i in range(len(node.inputs))]
    first = next((v for v in values if v.batched), node.value(0))
    axis = axis_of(first, node.integer("axis", 0))
    if not first.batched or all(v.batched for v in values):
        return Lowered(partial(_concat, axis=axis), node.present())
    check_broadcast(node)
    inputs = tuple(
        i if v.constant is None or not first.lifted else v.constant.unsqueeze(0) for i, v in enumerate(values)
    )
    return Lowered(partial(_concat_rows, axis=axis), inputs)


def _split(x: Tensor, *, sizes: list[int], axis: int) -> tuple[Tensor, ...]:
    return torch.split(x, sizes, axis)


def split(node: Node) -> Lowered:
    """A tensor cut along an axis into one part for each output."""
    x = node.value(0)
    axis = axis_of(x, node.integer("axis", 0))
    sizes = node.attribute_or_input("split", 1, moved=13)
    size, parts = x.shape[axis], node.outputs
    if sizes is None:
        step = -(-size // parts)
        bounds = [min(step * i, size) for i in range(parts + 1)]
        sizes = [high - low for low, high in pairwise(bounds)]
    if len(sizes) != parts or sum(sizes) != size or any(n < 1 for n in sizes):
        raise ValueError(f"cannot split {size} into {parts} parts of {sizes}")
    return Lowered(partial(_split, sizes=sizes, axis=axis))


def _given(x: Tensor) -> Tensor:
    return x


def shape_of(node: Node) -> Lowered:
    """The shape, at a batch of one: whatever is computed from it is constant, and lifted where it is used."""
    shape = node.value(0).written[node.attributes.get("start", 0) : node.attributes.get("end", None)]
    return Lowered(_given, (torch.tensor(shape, dtype=torch.int64),))


def constant(node: Node) -> Lowered:
    """A constant held in an attribute."""
    known = {"value", "value_float", "value_floats", "value_int", "value_ints"}
    if len(node.attributes) != 1 or not known & set(node.attributes):
        raise ValueError(f"expected one of the attributes {sorted(known)}, got {sorted(node.attributes)!r:.80}")
    name, held = next(iter(node.attributes.items()))
    if not isinstance(held, Tensor):
        held = torch.tensor(held, dtype=torch.float32 if "float" in name else torch.int64)
    return Lowered(_given, (held,))


def constant_of_shape(node: Node) -> Lowered:
    """A tensor of one repeated element."""
    shape, fill = node.integers(0), node.attributes.get("value", torch.zeros(1))
    if fill.numel() != 1 or any(n < 0 for n in shape) or prod(shape) > ELEMENTS or len(shape) > LONGEST_STATIC:
        raise ValueError(f"cannot make a constant of shape {shape!r:.80}")
    return Lowered(partial(_expand, shape=shape), (fill.reshape(()),))


def _cast(x: Tensor, *, dtype: torch.dtype) -> Tensor:
    if x.is_floating_point() and dtype.is_floating_point:
        return x
    return x.to(dtype)


def cast(node: Node) -> Lowered:
    """Another element type; between float types nothing changes, since the module has one float type."""
    x, to = node.value(0), node.integer("to", 1)
    if to not in TYPES:
        raise ValueError(f"expected a cast to one of the ONNX types {sorted(TYPES)}, got {to}")
    if x.batched and not TYPES[to].is_floating_point:
        raise ValueError("a cast of image values to integers has no gradient")
    return Lowered(partial(_cast, dtype=TYPES[to]))


def _depth_to_space(x: Tensor, *, block: int, order: str) -> Tensor:
    b, c, h, w = x.shape
    if order == "DCR":
        x = x.reshape(b, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    else:
        x = x.reshape(b, c // block**2, block, block, h, w).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(b, c // block**2, h * block, w * block)


def depth_to_space(node: Node) -> Lowered:
    """Channels moved into blocks of pixels."""
    x, block = node.value(0), node.integer("blocksize", 1)
    if x.rank != 4 or block < 1 or x.shape[1] % block**2:
        raise ValueError(f"cannot move channels of {x.shape} into blocks of {block}")
    return Lowered(partial(_depth_to_space, block=block, order=node.only("mode", ["DCR", "CRD"], "DCR")))


def _space_to_depth(x: Tensor, *, block: int) -> Tensor:
    b, c, h, w = x.shape
    x = x.reshape(b, c, h // block, block, w // block, block).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(b, c * block**2, h // block, w // block)


def space_to_depth(node: Node) -> Lowered:
    """Blocks of pixels moved into channels."""
    x, block = node.value(0), node.integer("blocksize", 1)
    if x.rank != 4 or block < 1 or x.shape[2] % block or x.shape[3] % block:
        raise ValueError(f"cannot move blocks of {block} of {x.shape} into channels")
    return Lowered(partial(_space_to_depth, block=block))


def size_of(node: Node) -> Lowered:
    """The number of elements, at a batch of one."""
    return Lowered(_given, (torch.tensor(prod(node.value(0).shape), dtype=torch.int64),))


def number_range(node: Node) -> Lowered:
    """Numbers from a start in equal steps, below a limit."""
    (start, *_), (limit, *_), (delta, *_) = (node.numbers(i) for i in range(3))
    if not delta or not 0 <= (limit - start) / delta <= LONGEST_STATIC**2:
        raise ValueError(f"expected a range of at most {LONGEST_STATIC**2} numbers, got {start} to {limit} by {delta}")
    return Lowered(_given, (torch.arange(start, limit, delta, dtype=node.value(0).dtype),))

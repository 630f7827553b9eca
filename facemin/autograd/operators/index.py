"""Builders for operators that pick entries along axes, or put a border around them."""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from facemin.autograd.operator_api import Lowered, Node, axis_of
from facemin.autograd.operators.pointwise import identity_tensor


def _slice(x: Tensor, *, cuts: tuple[slice, ...], flips: list[int]) -> Tensor:
    x = x[cuts]
    return x.flip(flips) if flips else x


def slice_axes(node: Node) -> Lowered:
    """Ranges along axes."""
    x = node.value(0)
    cuts, flips = [slice(None)] * x.rank, []
    for start, end, axis, step in node.slice_ranges():
        everything = start == 0 and step == 1 and end >= 1 << 30
        if x.batched and everything and x.place is not None and axis in (x.place, x.place - len(x.written)):
            continue
        place = axis_of(x, axis)
        chosen = range(*slice(start, end, step).indices(x.shape[place]))
        if not chosen and x.batched:
            raise ValueError(f"the range {start}:{end}:{step} of {x.shape[place]} is empty")
        if chosen == range(x.shape[place]):
            continue
        forward = chosen if step > 0 else chosen[::-1]
        cuts[place] = slice(forward.start, forward.stop, forward.step)
        flips += [place] if step < 0 else []
    if all(cut == slice(None) for cut in cuts) and not flips:
        return Lowered(identity_tensor)
    return Lowered(partial(_slice, cuts=tuple(cuts), flips=flips))


def _select(x: Tensor, *, axis: int, index: int) -> Tensor:
    return x.select(axis, index)


def _take(x: Tensor, indices: Tensor, *, axis: int, shape: tuple[int, ...]) -> Tensor:
    out = x.index_select(axis, indices)
    return out.reshape(*x.shape[:axis], *shape, *x.shape[axis + 1 :])


def gather(node: Node) -> Lowered:
    """Entries of an axis by constant index."""
    x, chosen = node.value(0), node.value(1)
    axis = axis_of(x, node.integer("axis", 0))
    size, indices = x.shape[axis], node.integers(1)
    if any(not -size <= i < size for i in indices):
        raise ValueError(f"expected indices below {size}, got {indices!r:.80}")
    indices = [i % size for i in indices]
    before = x.place is not None and axis - x.lifted < x.place
    place = x.place + len(chosen.shape) - 1 if before and x.place is not None else x.place
    if not chosen.shape:
        return Lowered(partial(_select, axis=axis, index=indices[0]), place=place)
    taken = torch.tensor(indices, dtype=torch.int64)
    return Lowered(partial(_take, axis=axis, shape=chosen.shape), (0, taken), place=place)


def _pad(x: Tensor, *, pads: list[int], value: float) -> Tensor:
    return F.pad(x, pads, value=value)


def _take_axes(x: Tensor, *indices: Tensor, axes: list[int]) -> Tensor:
    for axis, chosen in zip(axes, indices, strict=True):
        x = x.index_select(axis, chosen)
    return x


def _border(size: int, low: int, high: int, mode: str) -> list[int]:
    """Where each padded position takes its value from."""
    if mode == "edge":
        return [min(max(i, 0), size - 1) for i in range(-low, size + high)]
    if mode == "wrap":
        return [i % size for i in range(-low, size + high)]
    if max(low, high) >= size:
        raise ValueError(f"cannot reflect {size} entries by {low} and {high}")
    return [size - 1 - abs(size - 1 - abs(i)) for i in range(-low, size + high)]


def pad(node: Node) -> Lowered:
    """A border: constant, reflected, repeated or wrapped; attributes before opset 11, inputs from there on."""
    x = node.value(0)
    mode = node.only("mode", ["constant", "reflect", "edge", "wrap"], "constant")
    pads = node.attribute_or_input("pads", 1, moved=11)
    fill = node.number("value", 0.0) if node.opset < 11 else (node.numbers(2) if node.optional(2) else [0.0])[0]
    axes = node.integers(3) if node.optional(3) else list(range(len(x.written)))
    if pads is None or len(pads) != 2 * len(axes) or any(abs(n) > 1 << 20 for n in pads):
        raise ValueError(f"expected two pads of at most 2**20 for each of {len(axes)} axes, got {pads!r:.80}")
    around = {}
    for i, axis in enumerate(axes):
        low, high = pads[i], pads[i + len(axes)]
        if low or high:
            place = axis_of(x, axis)
            around[place] = (low, high)
    if not around:
        return Lowered(identity_tensor)
    if mode == "constant":
        flat = [n for axis in reversed(range(min(around), x.rank)) for n in around.get(axis, (0, 0))]
        return Lowered(partial(_pad, pads=flat, value=float(fill)))
    if any(n < 0 for pair in around.values() for n in pair):
        raise ValueError(f"expected pads of 0 or more in mode {mode!r}, got {pads}")
    indices = [torch.tensor(_border(x.shape[axis], *pair, mode)) for axis, pair in around.items()]
    return Lowered(partial(_take_axes, axes=list(around)), (0, *indices))

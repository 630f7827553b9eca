"""Batch-axis analysis: independence of the images in a batch.

A graph is read at a batch of one, and the axis of its batch is followed from node to node. What would work across it is
refused. Where it is merged with another axis it is lost from sight (None) until it comes to the front again.
"""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING

from facemin.models.onnx.operators import BROADCASTING, IMAGES_ONLY, POINTWISE, REDUCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from facemin.models.onnx.analysis.static_value import StaticNode, StaticValue

    Shape = tuple[int, ...]

EQUATION = re.compile(r"[a-zA-Z]+(,[a-zA-Z]+){0,3}->[a-zA-Z]+")
ACROSS = "the node works across the batch axis, so images would not be independent of each other"
SPANS = "a constant spans the batch axis; expected length 1 there"
EVERYTHING = 1 << 30
"""An end from which a slice takes all there is."""


def batch_axis(node: StaticNode, result: Shape) -> int | None:
    """Which axis of a node's result is the batch's, where an input depends on the image.

    Args:
        node: the node.
        result: shape of its first output, at a batch of one.

    Raises:
        ValueError: images would not be independent of each other, or the operator does not run on such a value.
    """
    if node.op in POINTWISE:
        return node.value(0).place
    if node.op in BROADCASTING:
        return _broadcast(node, result)
    if node.op in IMAGES_ONLY:
        if node.value(0).place != 0:
            raise ValueError("the operator does not run on a value whose batch axis is not the first")
        return 0
    if node.op in REDUCTIONS:
        return _reduced(node)
    return RULES[node.op](node, result)


def _common(places: list[int | None]) -> int | None:
    known = {place for place in places if place is not None}
    if len(known) > 1:
        raise ValueError(f"batch axes {sorted(known)} meet, so images would not be independent of each other")
    return known.pop() if known else None


def _broadcast(node: StaticNode, result: Shape) -> int | None:
    rank = len(result)
    place = _common([None if value.place is None else value.place + rank - value.rank for value in node.batched])
    for value in node.inputs:
        if place is None or value is None:
            continue
        axis = place - (rank - value.rank)
        if axis >= 0 and value.shape[axis] != 1:
            raise ValueError(SPANS)
    return place


def _reduced(node: StaticNode) -> int | None:
    x = node.value(0)
    axes = node.attribute_or_input("axes", 1, moved=REDUCTIONS[node.op])
    if not axes:
        if node.integer("noop_with_empty_axes", 0):
            return x.place
        axes = list(range(x.rank))
    taken = {node.axis(x, axis) for axis in axes}
    return x.place if node.integer("keepdims", 1) else _without(x, taken)


def _without(x: StaticValue, taken: set[int]) -> int | None:
    return None if x.place is None else x.place - sum(axis < x.place for axis in taken)


def _reshaped(node: StaticNode, result: Shape) -> int | None:
    """Behind as many elements as before; lost where it is merged."""
    x = node.value(0)
    if x.place is None:
        return 0 if result[:1] == (1,) else None
    before = prod(x.shape[: x.place])
    return next((i for i, n in enumerate(result) if n == 1 and prod(result[:i]) == before), None)


def _gemm(node: StaticNode, result: Shape) -> int | None:
    x, weight, bias = node.value(0), node.value(1), node.optional(2)
    del result
    constant = not weight.batched and (bias is None or not bias.batched)
    if x.place == 1 or x.rank != 2 or not constant or node.integer("transA", 0):
        raise ValueError(f"expected (batch, K) times a constant (K, N), got {x.shape} and {weight.shape}")
    if bias is not None and bias.rank == 2 and bias.shape[0] != 1:
        raise ValueError(SPANS)
    return x.place


def _matmul(node: StaticNode, result: Shape) -> int | None:
    x, y = node.value(0), node.value(1)
    places: list[int | None] = []
    for value, contracted, kept in ((x, x.rank - 1, x.rank - 2), (y, y.rank - 2, y.rank - 1)):
        if not value.batched or value.place is None:
            continue
        if value.place == contracted or value.rank < 2:
            raise ValueError(f"a product of {x.shape} and {y.shape} would mix the rows of the batch")
        if value.place == kept:
            places.append(len(result) - (2 if value is x else 1))
        else:
            places.append(value.place + len(result) - value.rank)
    place = _common(places)
    for value in (x, y):
        axis = -1 if place is None or place >= len(result) - 2 else place - (len(result) - value.rank)
        if axis >= 0 and value.shape[axis] != 1:
            raise ValueError(SPANS)
    return place


def _softmax(node: StaticNode, result: Shape) -> int | None:
    del result
    x = node.value(0)
    if node.opset >= 13:
        node.axis(x, node.integer("axis", -1))
        return x.place
    return _from_axis(node, node.integer("axis", 1))


def _normalised(node: StaticNode, result: Shape) -> int | None:
    del result
    return _from_axis(node, node.integer("axis", -1))


def _from_axis(node: StaticNode, axis: int) -> int | None:
    """All axes from one on are taken together."""
    x = node.value(0)
    if x.place is not None and x.place >= node.axis(x, axis):
        raise ValueError(ACROSS)
    return x.place


def _lp(node: StaticNode, result: Shape) -> int | None:
    del result
    node.axis(node.value(0), node.integer("axis", -1))
    return node.value(0).place


def _transposed(node: StaticNode, result: Shape) -> int | None:
    x = node.value(0)
    order = list(node.attributes.get("perm", range(len(result))[::-1]))
    if sorted(order) != list(range(x.rank)):
        raise ValueError(f"expected an order of {x.rank} axes, got {order!r:.80}")
    return None if x.place is None else order.index(x.place)


def _unsqueezed(node: StaticNode, result: Shape) -> int | None:
    x = node.value(0)
    axes = {axis % len(result) for axis in node.attribute_or_input("axes", 1, moved=13) or ()}
    old = [axis for axis in range(len(result)) if axis not in axes]
    return None if x.place is None else old[x.place]


def _squeezed(node: StaticNode, result: Shape) -> int | None:
    del result
    x = node.value(0)
    axes = node.attribute_or_input("axes", 1, moved=13)
    if axes is None:
        axes = [i for i, n in enumerate(x.shape) if n == 1 and i != x.place]
    return _without(x, {node.axis(x, axis) for axis in axes})


def _expanded(node: StaticNode, result: Shape) -> int | None:
    x = node.value(0)
    if len(result) != x.rank or (x.place is not None and result[x.place] != 1):
        raise ValueError(f"expanding {x.shape} to {result} would move or repeat the batch axis")
    return x.place


def _tiled(node: StaticNode, result: Shape) -> int | None:
    x = node.value(0)
    if x.place is not None and result[x.place] != 1:
        raise ValueError("repeating the batch axis would move rows")
    return x.place


def _joined(node: StaticNode, result: Shape) -> int | None:
    del result
    place = _common([value.place for value in node.batched])
    if place is not None and node.integer("axis", 0) % node.value(0).rank == place:
        raise ValueError(ACROSS)
    return place


def _split(node: StaticNode, result: Shape) -> int | None:
    del result
    node.axis(node.value(0), node.integer("axis", 0))
    return node.value(0).place


def _sliced(node: StaticNode, result: Shape) -> int | None:
    del result
    x = node.value(0)
    for start, end, axis, step in node.slice_ranges():
        if start == 0 and step == 1 and end >= EVERYTHING and x.place is not None and axis % x.rank == x.place:
            continue
        node.axis(x, axis)
    return x.place


def _gathered(node: StaticNode, result: Shape) -> int | None:
    del result
    x, chosen = node.value(0), node.value(1)
    if chosen.batched:
        raise ValueError("expected constant indices, not computed from the image")
    axis = node.axis(x, node.integer("axis", 0))
    if any(not -x.shape[axis] <= index < x.shape[axis] for index in node.integers(1)):
        raise ValueError(f"expected indices below {x.shape[axis]}, got {node.integers(1)!r:.80}")
    return x.place + chosen.rank - 1 if x.place is not None and axis < x.place else x.place


def _padded(node: StaticNode, result: Shape) -> int | None:
    del result
    x = node.value(0)
    pads = node.attribute_or_input("pads", 1, moved=11)
    axes = node.integers(3) if node.optional(3) else list(range(x.rank))
    if pads is None or len(pads) != 2 * len(axes) or any(abs(n) > 1 << 20 for n in pads):
        raise ValueError(f"expected two pads of at most 2**20 for each of {len(axes)} axes, got {pads!r:.80}")
    for i, axis in enumerate(axes):
        low, high = pads[i], pads[i + len(axes)]
        if not (low or high):
            continue
        size = x.shape[node.axis(x, axis)]
        mode = node.only("mode", ["constant", "reflect", "edge", "wrap"], "constant")
        if mode == "reflect" and max(low, high) >= size:
            raise ValueError(f"cannot reflect {size} entries by {low} and {high}")
    return x.place


def _einsum(node: StaticNode, result: Shape) -> int | None:
    del result
    equation = str(node.attributes.get("equation", "")).replace(" ", "")
    if not EQUATION.fullmatch(equation):
        raise ValueError(
            "expected an equation like 'bic,bcj->bij', a letter for each axis and the result named, "
            f"got {equation!r:.80}"
        )
    left, given = equation.split("->")
    terms = left.split(",")
    if len({*given}) != len(given) or not {*given} <= {*left}:
        raise ValueError(f"{equation}: expected each of the result's axes once, and on the left")
    pairs = [(term, value) for term, value in zip(terms, node.inputs, strict=True) if value is not None]
    batched = [(term, value) for term, value in pairs if value.batched]
    letters = {term[value.place] if value.place is not None else "" for term, value in batched}
    letter = letters.pop() if len(letters) == 1 else ""
    if not letter or letter not in given or any(term.count(letter) != 1 for term, _ in batched):
        raise ValueError(f"{equation} works across the batch axis, so images would not be independent of each other")
    if any(letter in term and value.shape[term.index(letter)] != 1 for term, value in pairs):
        raise ValueError(SPANS)
    return given.index(letter)


RULES: dict[str, Callable[[StaticNode, Shape], int | None]] = {
    "Concat": _joined,
    "Einsum": _einsum,
    "Expand": _expanded,
    "Flatten": _reshaped,
    "Gather": _gathered,
    "Gemm": _gemm,
    "LayerNormalization": _normalised,
    "LogSoftmax": _softmax,
    "LpNormalization": _lp,
    "MatMul": _matmul,
    "Pad": _padded,
    "RMSNormalization": _normalised,
    "Reshape": _reshaped,
    "Slice": _sliced,
    "Softmax": _softmax,
    "Split": _split,
    "Squeeze": _squeezed,
    "Tile": _tiled,
    "Transpose": _transposed,
    "Unsqueeze": _unsqueezed,
}
"""By operator of `ALONG_AXES`."""

"""Builders for reductions over axes."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from facemin.autograd.operator_api import Lowered, Node, axis_of, place_without
from facemin.autograd.operators.pointwise import identity_tensor

Reduction = Callable[[Tensor, list[int], bool], Tensor]


def _mean(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.mean(dim=axes, keepdim=keep)


def _sum(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.sum(dim=axes, keepdim=keep)


def _max(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.amax(dim=axes, keepdim=keep)


def _min(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.amin(dim=axes, keepdim=keep)


def _prod(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted(axes, reverse=True):
        x = x.prod(dim=axis, keepdim=keep)
    return x


def _l1(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.abs().sum(dim=axes, keepdim=keep)


def _l2(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(x, 2, dim=axes, keepdim=keep)
    return norm


def _sum_square(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.square().sum(dim=axes, keepdim=keep)


def _log_sum(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.sum(dim=axes, keepdim=keep).log()


def _log_sum_exp(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.logsumexp(dim=axes, keepdim=keep)


REDUCTIONS: dict[str, tuple[Reduction, int]] = {
    "ReduceMean": (_mean, 18),
    "ReduceSum": (_sum, 13),
    "ReduceMax": (_max, 18),
    "ReduceMin": (_min, 18),
    "ReduceProd": (_prod, 18),
    "ReduceL1": (_l1, 18),
    "ReduceL2": (_l2, 18),
    "ReduceSumSquare": (_sum_square, 18),
    "ReduceLogSum": (_log_sum, 18),
    "ReduceLogSumExp": (_log_sum_exp, 18),
}
"""Reduction by operator, and the opset from which on its axes are an input."""


def _reduce(x: Tensor, *, reduction: Reduction, axes: list[int], keep: bool) -> Tensor:
    return reduction(x, axes, keep)


def reduce_axes(node: Node) -> Lowered:
    """A reduction over the named axes, or over all of a constant's."""
    x = node.value(0)
    reduction, moved = REDUCTIONS[node.op]
    axes = node.attribute_or_input("axes", 1, moved=moved)
    if not axes:
        if node.integer("noop_with_empty_axes", 0):
            return Lowered(identity_tensor)
        axes = list(range(len(x.written)))
    found = sorted({axis_of(x, axis) for axis in axes})
    if not found:
        return Lowered(identity_tensor)
    keep = bool(node.integer("keepdims", 1))
    place = x.place if keep else place_without(x, found)
    return Lowered(partial(_reduce, reduction=reduction, axes=found, keep=keep), place=place)

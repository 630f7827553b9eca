"""Builders for operators that work element by element, with broadcasting."""

import math
from collections.abc import Callable
from functools import partial, reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from facemin.autograd.compile.prelu import prelu_channels
from facemin.autograd.operator_api import Lowered, Node, axis_of


def check_broadcast(node: Node) -> None:
    """Raises ValueError where broadcasting would move the batch axis or let a constant span it."""
    values = [value for value in node.inputs if value is not None]
    if not any(value.batched for value in values):
        return
    rank = max(value.rank for value in values)
    lifted = any(value.lifted for value in values)
    for value in values:
        if lifted and not value.batched and value.rank >= rank:
            raise ValueError(f"a constant of shape {value.shape} has more axes than what depends on the image")
        if value.batched and value.rank != rank:
            raise ValueError(f"broadcasting a value of shape {value.shape} to {rank} axes would move its batch axis")
        if not value.batched and value.rank == rank and value.shape[0] != 1:
            raise ValueError(f"a constant of shape {value.shape} spans the batch axis; expected 1 there")


def unary(function: Callable[[Tensor], Tensor]) -> Callable[[Node], Lowered]:
    """A builder for a function of one tensor without attributes."""

    def build(node: Node) -> Lowered:
        node.value(0)
        return Lowered(function)

    return build


def binary(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Node], Lowered]:
    """A builder for a broadcasting function of two tensors."""

    def build(node: Node) -> Lowered:
        node.value(0), node.value(1)
        check_broadcast(node)
        return Lowered(function, (0, 1))

    return build


def _variadic(function: Callable[[Tensor, Tensor], Tensor], *tensors: Tensor) -> Tensor:
    return reduce(function, tensors)


def variadic(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Node], Lowered]:
    """A builder for a broadcasting function of one or more tensors, taken pair by pair."""

    def build(node: Node) -> Lowered:
        node.value(0)
        check_broadcast(node)
        return Lowered(partial(_variadic, function), node.present())

    return build


def divide(x: Tensor, y: Tensor) -> Tensor:
    """The quotient; integers are divided towards zero, as ONNX has it."""
    if x.is_floating_point() or y.is_floating_point():
        return x / y
    return torch.div(x, y, rounding_mode="trunc")


def power(node: Node) -> Lowered:
    """A power; an exponent of integers counts as floats beside an image."""
    x, exponent = node.value(0), node.value(1)
    check_broadcast(node)
    if x.batched and exponent.constant is not None and not exponent.dtype.is_floating_point:
        return Lowered(torch.pow, (0, exponent.constant.to(x.dtype)))
    return Lowered(torch.pow, (0, 1))


def _mean(*tensors: Tensor) -> Tensor:
    return reduce(torch.add, tensors) / len(tensors)


def mean(node: Node) -> Lowered:
    """The mean of one or more tensors, with broadcasting."""
    node.value(0)
    check_broadcast(node)
    return Lowered(_mean, node.present())


def remainder(node: Node) -> Lowered:
    """The remainder with the sign of the divisor, or of the dividend where `fmod` is set."""
    node.value(0), node.value(1)
    check_broadcast(node)
    return Lowered(torch.fmod if node.only("fmod", [0, 1], 0) else torch.remainder, (0, 1))


def _selu(x: Tensor, *, alpha: float, gamma: float) -> Tensor:
    return gamma * F.elu(x, alpha)


def selu(node: Node) -> Lowered:
    """Scaled ELU."""
    alpha, gamma = node.number("alpha", 1.67326319217681884765625), node.number("gamma", 1.05070102214813232421875)
    return Lowered(partial(_selu, alpha=alpha, gamma=gamma))


def _celu(x: Tensor, *, alpha: float) -> Tensor:
    return F.celu(x, alpha)


def celu(node: Node) -> Lowered:
    """Positive values kept, alpha * (exp(x / alpha) - 1) for the others."""
    return Lowered(partial(_celu, alpha=node.number("alpha", 1.0)))


def _swish(x: Tensor, *, alpha: float) -> Tensor:
    return x * torch.sigmoid(alpha * x)


def swish(node: Node) -> Lowered:
    """Each value times the sigmoid of alpha times it."""
    return Lowered(partial(_swish, alpha=node.number("alpha", 1.0)))


def _thresholded_relu(x: Tensor, *, alpha: float) -> Tensor:
    return torch.where(x > alpha, x, torch.zeros_like(x))


def thresholded_relu(node: Node) -> Lowered:
    """Values above alpha kept, zero for the others."""
    return Lowered(partial(_thresholded_relu, alpha=node.number("alpha", 1.0)))


def _leaky_relu(x: Tensor, *, slope: float) -> Tensor:
    return F.leaky_relu(x, slope)


def leaky_relu(node: Node) -> Lowered:
    """Positive values kept, alpha * x for the others."""
    return Lowered(partial(_leaky_relu, slope=node.number("alpha", 0.01)))


def _elu(x: Tensor, *, alpha: float) -> Tensor:
    return F.elu(x, alpha)


def elu(node: Node) -> Lowered:
    """Positive values kept, alpha * (exp(x) - 1) for the others."""
    return Lowered(partial(_elu, alpha=node.number("alpha", 1.0)))


def _hard_sigmoid(x: Tensor, *, slope: float, offset: float) -> Tensor:
    return torch.clamp(x * slope + offset, 0.0, 1.0)


def hard_sigmoid(node: Node) -> Lowered:
    """The line alpha * x + beta, held between 0 and 1."""
    return Lowered(partial(_hard_sigmoid, slope=node.number("alpha", 0.2), offset=node.number("beta", 0.5)))


def _gelu(x: Tensor, *, approximate: str) -> Tensor:
    return F.gelu(x, approximate=approximate)


def gelu(node: Node) -> Lowered:
    """Each value times the normal distribution function of it, exact or by tanh."""
    return Lowered(partial(_gelu, approximate=node.only("approximate", ["none", "tanh"], "none")))


def clip_tensor(x: Tensor, *, low: float | None, high: float | None) -> Tensor:
    """Values held between two bounds, of which one may be missing."""
    return torch.clamp(x, low, high)


def clip(node: Node) -> Lowered:
    """Values held between two bounds: attributes before opset 11, inputs from there on."""
    bounds: list[float | None] = []
    for index, name in ((1, "min"), (2, "max")):
        if node.opset < 11:
            bounds.append(node.attributes.get(name))
            continue
        found = None if node.optional(index) is None else node.numbers(index)
        if found is not None and len(found) != 1:
            raise ValueError(f"expected {name!r} to be one number, got {len(found)}")
        bounds.append(found[0] if found else None)
    low, high = bounds
    if any(bound is not None and math.isnan(bound) for bound in bounds):
        raise ValueError(f"expected bounds that are numbers, got {bounds}")
    if low is None and high is None:
        return Lowered(identity_tensor)
    return Lowered(partial(clip_tensor, low=low, high=high))


def identity_tensor(x: Tensor) -> Tensor:
    """The tensor itself; steps with this function are dropped."""
    return x


def identity(node: Node) -> Lowered:
    """Identity, and Dropout at inference."""
    node.value(0)
    if node.outputs != 1:
        raise ValueError(f"expected one output, got {node.outputs}")
    return Lowered(identity_tensor)


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """Positive values kept, slope * x for the others; the slope broadcasts."""
    return torch.where(x > 0, x, x * slope)


def build_prelu(node: Node) -> Lowered:
    """Parametric ReLU; its slope broadcasts to the input, most often as one number per channel."""
    check_broadcast(node)
    x, slope = node.value(0), node.value(1)
    if slope.constant is not None and x.batched and x.rank >= 2:
        padded = (1,) * (x.rank - slope.rank) + slope.shape
        channels = padded[1]
        others = padded[:1] + padded[2:]
        if all(n == 1 for n in others) and channels in (1, x.shape[1]):
            return Lowered(prelu_channels, (0, slope.constant.reshape(channels)))
    return Lowered(prelu, (0, 1))


def _softmax(x: Tensor, *, axes: int, first: int, log: bool) -> Tensor:
    flat = x.flatten(first, first + axes - 1) if axes > 1 else x
    out = F.log_softmax(flat, first) if log else F.softmax(flat, first)
    return out.reshape(x.shape) if axes > 1 else out


def softmax(node: Node) -> Lowered:
    """Softmax and LogSoftmax along an axis; before opset 13 over all axes from there on, taken together."""
    x = node.value(0)
    axis = axis_of(x, node.integer("axis", -1 if node.opset >= 13 else 1))
    axes = 1 if node.opset >= 13 else x.rank - axis
    if axes > 1 and x.lifted and (x.place is None or x.place >= axis - 1):
        raise ValueError(f"the node takes all axes from {axis - 1} on together, the batch axis among them")
    return Lowered(partial(_softmax, axes=axes, first=axis, log=node.op == "LogSoftmax"))


def where(node: Node) -> Lowered:
    """One of two tensors, element by element."""
    for index in range(3):
        node.value(index)
    check_broadcast(node)
    return Lowered(torch.where, (0, 1, 2))

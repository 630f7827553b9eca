"""Builders for normalisation."""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from facemin.autograd.operator_api import Lowered, Node, Value, axis_of
from facemin.autograd.operators.conv import constant_input
from facemin.models.onnx.operators import FACTOR_A_CHANNEL


@dataclass(frozen=True, kw_only=True)
class Affine:
    """scale * x + shift per channel; (B,C,...) -> (B,C,...), scale and shift (C,)."""

    def __call__(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Apply it."""
        sides = (-1,) + (1,) * (x.dim() - 2)
        return x * scale.reshape(sides) + shift.reshape(sides)


def batch_normalization(node: Node) -> Lowered:
    """Normalisation by stored statistics, as one factor and one offset per channel."""
    if node.outputs != 1 or node.integer("training_mode", 0):
        raise ValueError("expected batch normalisation by its stored statistics, not in training mode")
    x = node.value(0)
    channels = x.shape[1:2]
    scale, shift, mean, variance = (constant_input(node, i) for i in range(1, 5))
    # MXNet wrote `spatial` 0 with vectors per channel, which then mean the same as 1.
    if not node.only("spatial", [0, 1], 1) and scale.dim() > 1:
        raise ValueError(f"expected statistics per channel, got {tuple(scale.shape)}, one for each pixel (spatial 0)")
    if any(tuple(t.shape) != channels for t in (scale, shift, mean, variance)):
        raise ValueError(f"expected four vectors of shape {channels}, got {[tuple(t.shape) for t in (scale, shift)]}")
    factor = scale.double() / torch.sqrt(variance.double() + node.number("epsilon", 1e-5))
    offset = shift.double() - mean.double() * factor
    return Lowered(Affine(), (0, factor.float(), offset.float()))


def _instance_normalization(x: Tensor, scale: Tensor, shift: Tensor, *, epsilon: float) -> Tensor:
    axes = tuple(range(2, x.dim()))
    centred = x - x.mean(dim=axes, keepdim=True)
    normal = centred * torch.rsqrt(centred.square().mean(dim=axes, keepdim=True) + epsilon)
    sides = (-1,) + (1,) * len(axes)
    return normal * scale.reshape(sides) + shift.reshape(sides)


def instance_normalization(node: Node) -> Lowered:
    """Normalisation of each channel of each image by its own mean and variance."""
    x = node.value(0)
    if x.rank < 3:
        raise ValueError(f"expected an input of three axes (batch, channels, length) or more, got {x.shape}")
    scale, shift = constant_input(node, 1), constant_input(node, 2)
    if tuple(scale.shape) != x.shape[1:2] or tuple(shift.shape) != x.shape[1:2]:
        raise ValueError(f"expected vectors of {x.shape[1]} channels, got {tuple(scale.shape)}, {tuple(shift.shape)}")
    run = partial(_instance_normalization, epsilon=node.number("epsilon", 1e-5))
    return Lowered(run, (0, 1, 2), taps=4)


def _layer_normalization(x: Tensor, scale: Tensor, shift: Tensor | None = None, *, axes: int, epsilon: float) -> Tensor:
    return F.layer_norm(x, x.shape[-axes:], scale, shift, epsilon)


def _spread(node: Node, index: int, shape: tuple[int, ...]) -> Tensor:
    """A constant input broadcast to a shape."""
    held = constant_input(node, index)
    if held.dim() > len(shape) or any(n not in (1, m) for n, m in zip(held.shape[::-1], shape[::-1], strict=False)):
        raise ValueError(f"expected input number {index + 1} to fit {shape}, got {tuple(held.shape)}")
    return held.expand(shape).contiguous()


def _inner_axes(node: Node, x: Value) -> tuple[int, ...]:
    """Lengths of the axes from `axis` on, which are normalised together."""
    axis = axis_of(x, node.integer("axis", -1))
    if x.lifted and x.place is not None and x.place >= axis - 1:
        raise ValueError("the node works across the batch axis, so images would not be independent of each other")
    return x.shape[axis:]


def layer_normalization(node: Node) -> Lowered:
    """Normalisation over the last axes, with a factor and an offset for each element."""
    x = node.value(0)
    if node.outputs != 1:
        raise ValueError(f"expected the normalised value alone, got {node.outputs} outputs in use")
    node.only("stash_type", [1], 1)
    shape = _inner_axes(node, x)
    held = [_spread(node, index, shape) for index in (1, 2) if index == 1 or node.optional(2) is not None]
    run = partial(_layer_normalization, axes=len(shape), epsilon=node.number("epsilon", 1e-5))
    return Lowered(run, (0, *held), taps=4)


def _rms_normalization(x: Tensor, scale: Tensor, *, axes: int, epsilon: float) -> Tensor:
    mean = x.square().mean(dim=tuple(range(x.dim() - axes, x.dim())), keepdim=True)
    return x * torch.rsqrt(mean + epsilon) * scale


def rms_normalization(node: Node) -> Lowered:
    """Division by the root of the mean square over the last axes."""
    node.only("stash_type", [1], 1)
    shape = _inner_axes(node, node.value(0))
    run = partial(_rms_normalization, axes=len(shape), epsilon=node.number("epsilon", 1e-5))
    return Lowered(run, (0, _spread(node, 1, shape)), taps=4)


def _group_normalization(x: Tensor, scale: Tensor, shift: Tensor, *, groups: int, epsilon: float) -> Tensor:
    return F.group_norm(x, groups, scale, shift, epsilon)


def group_normalization(node: Node) -> Lowered:
    """Normalisation of each group of channels of each image by its own mean and variance."""
    x, groups = node.value(0), node.integer("num_groups", 0)
    if x.rank < 3 or groups < 1 or x.shape[1] % groups:
        raise ValueError(f"expected groups that divide the channels of (batch, channels, ...), got {groups}, {x.shape}")
    scale, shift = constant_input(node, 1), constant_input(node, 2)
    each = x.shape[1] if node.opset >= FACTOR_A_CHANNEL else groups
    if tuple(scale.shape) != (each,) or tuple(shift.shape) != (each,):
        raise ValueError(f"expected two vectors of {each}, got {tuple(scale.shape)} and {tuple(shift.shape)}")
    scale, shift = (held.repeat_interleave(x.shape[1] // each) for held in (scale, shift))
    run = partial(_group_normalization, groups=groups, epsilon=node.number("epsilon", 1e-5))
    return Lowered(run, (0, scale, shift), taps=4)


def _local_response(x: Tensor, *, size: int, alpha: float, beta: float, bias: float) -> Tensor:
    low = (size - 1) // 2
    squares = F.pad(x.square().flatten(2), (0, 0, low, size - 1 - low)).unfold(1, size, 1).sum(-1)
    return x * (bias + alpha / size * squares.view_as(x)) ** -beta


def local_response(node: Node) -> Lowered:
    """Each value over a power of the mean square of the channels around it (AlexNet's LRN)."""
    x, size = node.value(0), node.integer("size", 0)
    if x.rank < 3 or not 1 <= size <= 2 * x.shape[1]:
        raise ValueError(f"expected a window over channels of (batch, channels, ...), got {size} and {x.shape}")
    alpha, beta, bias = node.number("alpha", 1e-4), node.number("beta", 0.75), node.number("bias", 1.0)
    run = partial(_local_response, size=size, alpha=alpha, beta=beta, bias=bias)
    return Lowered(run, taps=2 * size)


def _lp_normalization(x: Tensor, *, axis: int, order: int) -> Tensor:
    norm = torch.linalg.vector_norm(x, order, dim=axis, keepdim=True)
    return torch.div(x, norm.clamp_min(torch.finfo(x.dtype).tiny))


def lp_normalization(node: Node) -> Lowered:
    """Each value over its L1 or L2 norm along an axis; zero stays zero."""
    axis = axis_of(node.value(0), node.integer("axis", -1))
    return Lowered(partial(_lp_normalization, axis=axis, order=node.only("p", [1, 2], 2)), taps=2)

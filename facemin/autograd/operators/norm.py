"""Builders for normalisation."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from facemin.autograd.operator_api import Lowered, Node, axis_of
from facemin.autograd.operators.conv import check_image, constant_input


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
    channels = node.value(0).shape[1:2]
    scale, shift, mean, variance = (constant_input(node, i) for i in range(1, 5))
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
    check_image(x, "an input")
    scale, shift = constant_input(node, 1), constant_input(node, 2)
    if tuple(scale.shape) != x.shape[1:2] or tuple(shift.shape) != x.shape[1:2]:
        raise ValueError(f"expected vectors of {x.shape[1]} channels, got {tuple(scale.shape)}, {tuple(shift.shape)}")
    run = partial(_instance_normalization, epsilon=node.number("epsilon", 1e-5))
    return Lowered(run, (0, 1, 2), taps=4)


def _lp_normalization(x: Tensor, *, axis: int, order: int) -> Tensor:
    norm = torch.linalg.vector_norm(x, order, dim=axis, keepdim=True)
    return torch.div(x, norm.clamp_min(torch.finfo(x.dtype).tiny))


def lp_normalization(node: Node) -> Lowered:
    """Each value over its L1 or L2 norm along an axis; zero stays zero."""
    axis = axis_of(node.value(0), node.integer("axis", -1))
    return Lowered(partial(_lp_normalization, axis=axis, order=node.only("p", [1, 2], 2)), taps=2)

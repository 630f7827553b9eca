"""Builders for convolutions and matrix products."""

from dataclasses import dataclass
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from facemin.autograd.operator_api import Lowered, Node, Value
from facemin.models.onnx.attributes import WIDEST_WINDOW
from facemin.models.onnx.operators import check_intermediate


@dataclass(frozen=True, kw_only=True)
class Conv:
    """A 2-D convolution with zero padding; `before` holds (left, right, top, bottom) where sides differ."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    before: tuple[int, ...] | None = None

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """(B,C,H,W), (D,C/groups,h,w), (D,) -> (B,D,H',W')."""
        if self.before is not None:
            x = F.pad(x, self.before)
        return F.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    @property
    def padded(self) -> bool:
        """Whether zeros are put around the input."""
        return self.before is not None or any(self.padding)


@dataclass(frozen=True, kw_only=True)
class Linear:
    """x @ weight.T + bias; (B,...,K), (N,K), (N,) -> (B,...,N)."""

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Apply it."""
        return F.linear(x, weight, bias)


@dataclass(frozen=True, kw_only=True)
class _Window:
    """How a window slides over an input that is padded or cropped by `pads`, the last axis first."""

    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    pads: tuple[int, ...]


class _Conv1d(_Window):
    """A convolution along one axis."""

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.conv1d(F.pad(x, self.pads), weight, bias, self.stride, 0, self.dilation, self.groups)


class _ConvTranspose(_Window):
    """A transposed convolution along two axes, padded or cropped after it."""

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        out = F.conv_transpose2d(x, weight, None, self.stride, 0, 0, self.groups, self.dilation)
        out = F.pad(out, self.pads)
        return out if bias is None else out + bias.reshape(-1, 1, 1)


def window_pads(node: Node, x: Value, kernel: list[int], strides: list[int], dilations: list[int]) -> list[int]:
    """Zeros at top, left, bottom, right, from `pads` or `auto_pad`."""
    mode = node.only("auto_pad", ["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"], "NOTSET")
    if mode == "NOTSET":
        return node.window("pads", 2 * len(kernel), 0, least=0)
    if mode == "VALID":
        return [0] * 2 * len(kernel)
    firsts, lasts = [], []
    for size, k, s, d in zip(x.shape[2:], kernel, strides, dilations, strict=True):
        total = max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
        half = total // 2
        firsts.append(half if mode == "SAME_UPPER" else total - half)
        lasts.append(total - firsts[-1])
    return firsts + lasts


def check_image(value: Value, what: str) -> None:
    """Raises ValueError where a value has not the four axes of a batch of images."""
    if value.rank != 4:
        raise ValueError(f"expected {what} of four axes (batch, channels, height, width), got {value.shape}")


def check_fits(x: Value, kernel: list[int], dilations: list[int], pads: list[int]) -> None:
    """Raises ValueError where a window is larger than the padded image."""
    half = len(kernel)
    for size, k, d, low, high in zip(x.shape[2:], kernel, dilations, pads[:half], pads[half:], strict=True):
        if (k - 1) * d + 1 > size + low + high:
            raise ValueError(f"a window of {k} with dilation {d} does not fit into {size} + {low} + {high} pixels")


def _weights(node: Node) -> tuple[Value, Value]:
    x, weight = node.value(0), node.value(1)
    if x.rank != 3 or node.op != "Conv":
        check_image(x, "an input")
    if weight.rank != x.rank:
        raise ValueError(f"expected a weight of as many axes as the input {x.shape}, got {weight.shape}")
    if weight.batched or not weight.dtype.is_floating_point:
        raise ValueError("expected constant weights of floats, not computed from the image")
    if node.optional(2) is not None:
        group = max(node.integer("group", 1), 1)
        channels = weight.shape[1] * group if node.op == "ConvTranspose" else weight.shape[0]
        bias = constant_input(node, 2)
        if tuple(bias.shape) != (channels,) or not bias.is_floating_point():
            raise ValueError(f"expected a bias of shape {(channels,)}, got {tuple(bias.shape)}")
    if max(weight.shape[2:]) > WIDEST_WINDOW:
        raise ValueError(f"expected a window of at most {WIDEST_WINDOW} pixels, got a weight of {weight.shape}")
    declared = node.attributes.get("kernel_shape")
    if declared is not None and list(declared) != list(weight.shape[2:]):
        raise ValueError(f"expected kernel_shape {list(weight.shape[2:])} as the weight has, got {declared!r:.80}")
    return x, weight


def conv(node: Node) -> Lowered:
    """1-D or 2-D convolution with constant weights."""
    x, weight = _weights(node)
    sides = x.rank - 2
    group = node.integer("group", 1)
    if group < 1 or weight.shape[0] % group or weight.shape[1] * group != x.shape[1]:
        raise ValueError(f"{group} groups do not fit {x.shape[1]} channels and a weight of {weight.shape}")
    strides, dilations = node.window("strides", sides, 1), node.window("dilations", sides, 1)
    pads = window_pads(node, x, list(weight.shape[2:]), strides, dilations)
    check_fits(x, list(weight.shape[2:]), dilations, pads)
    if sides == 1:
        check_intermediate(prod(weight.shape[1:]) * (x.shape[2] + sum(pads)), "an unfolded input")
        line = _Conv1d(stride=tuple(strides), dilation=tuple(dilations), groups=group, pads=(pads[0], pads[1]))
        return Lowered(line, node.present(), taps=prod(weight.shape[1:]))
    height, width = (size + low + high for size, low, high in zip(x.shape[2:], pads[:2], pads[2:], strict=True))
    unfolded = prod(weight.shape[1:]) * (height // strides[0] + 1) * (width // strides[1] + 1)
    check_intermediate(max(unfolded, x.shape[1] * height * width), "an unfolded input")
    even = pads[:2] == pads[2:]
    run = Conv(
        stride=tuple(strides),
        padding=tuple(pads[:2]) if even else (0, 0),
        dilation=tuple(dilations),
        groups=group,
        before=None if even else (pads[1], pads[3], pads[0], pads[2]),
    )
    return Lowered(run, node.present(), taps=prod(weight.shape[1:]))


def conv_transpose(node: Node) -> Lowered:
    """2-D transposed convolution with constant weights."""
    x, weight = _weights(node)
    group = node.integer("group", 1)
    if group < 1 or weight.shape[0] != x.shape[1] or x.shape[1] % group:
        raise ValueError(f"{group} groups do not fit {x.shape[1]} channels and a weight of {weight.shape}")
    strides, dilations = node.window("strides", 2, 1), node.window("dilations", 2, 1)
    extra = node.window("output_padding", 2, 0, least=0)
    full = [
        (size - 1) * s + (k - 1) * d + 1
        for size, k, s, d in zip(x.shape[2:], weight.shape[2:], strides, dilations, strict=True)
    ]
    check_intermediate(weight.shape[1] * group * prod(full), "an output before cropping")
    pads = _transposed_pads(node, x, full, strides, extra)
    around = (-pads[1], extra[1] - pads[3], -pads[0], extra[0] - pads[2])
    run = _ConvTranspose(stride=tuple(strides), dilation=tuple(dilations), groups=group, pads=around)
    return Lowered(run, node.present(), taps=x.shape[1] // group * prod(weight.shape[2:]))


def _transposed_pads(node: Node, x: Value, full: list[int], strides: list[int], extra: list[int]) -> list[int]:
    """What is cut off at top, left, bottom, right."""
    mode = node.only("auto_pad", ["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"], "NOTSET")
    if "output_shape" in node.attributes:
        wanted = node.window("output_shape", 2, 1)
    elif mode.startswith("SAME"):
        wanted = [size * s for size, s in zip(x.shape[2:], strides, strict=True)]
    else:
        return node.window("pads", 4, 0, least=0) if mode == "NOTSET" else [0] * 4
    totals = [max(f + e - w, 0) for f, e, w in zip(full, extra, wanted, strict=True)]
    smaller = [total // 2 for total in totals]
    larger = [total - half for total, half in zip(totals, smaller, strict=True)]
    return smaller + larger if mode == "SAME_UPPER" else larger + smaller


def constant_input(node: Node, index: int) -> Tensor:
    """The constant floats at an index. Raises ValueError where they depend on the image."""
    value = node.value(index)
    if value.constant is None or not value.dtype.is_floating_point:
        raise ValueError(f"expected input number {index + 1} to be constant floats, not computed from the image")
    return value.constant


def gemm(node: Node) -> Lowered:
    """The product alpha * x @ weight + beta * bias with a constant weight of two axes."""
    x, weight = node.value(0), constant_input(node, 1)
    if len(x.written) != 2 or weight.dim() != 2 or node.integer("transA", 0):
        raise ValueError(f"expected (batch, K) times a constant (K, N), got {x.shape} and {tuple(weight.shape)}")
    if not node.integer("transB", 0):
        weight = weight.t()
    weight = weight * node.number("alpha", 1.0) if node.number("alpha", 1.0) != 1 else weight
    if node.optional(2) is None:
        return Lowered(Linear(), (0, weight.contiguous()), taps=x.shape[-1])
    bias = constant_input(node, 2)
    if bias.dim() > 2 or (bias.dim() == 2 and bias.shape[0] != 1):
        raise ValueError(f"expected a bias of (N,) or (1, N), got {tuple(bias.shape)}")
    bias = (bias.reshape(-1) * node.number("beta", 1.0)).expand(weight.shape[0]).contiguous()
    return Lowered(Linear(), (0, weight.contiguous(), bias), taps=x.shape[-1])


def matmul(node: Node) -> Lowered:
    """Matrix product; rows of the batch stay apart."""
    x, y = node.value(0), node.value(1)
    if x.batched and not y.batched and y.rank == 2 and x.rank >= 2:
        return Lowered(Linear(), (0, constant_input(node, 1).t().contiguous()), taps=y.shape[0])
    if x.lifted or y.lifted:
        return _lifted_matmul(x, y)
    ranks = max(x.rank, y.rank)
    for one, other in ((x, y), (y, x)):
        if one.batched and (one.rank < 3 or one.rank != ranks):
            raise ValueError(f"a product of {x.shape} and {y.shape} would mix the rows of the batch")
        if one.batched and not other.batched and other.rank == ranks and other.shape[0] != 1:
            raise ValueError(f"a constant of shape {other.shape} spans the batch axis; expected 1 there")
    return Lowered(torch.matmul, (0, 1), taps=x.shape[-1])


def _lifted_matmul(x: Value, y: Value) -> Lowered:
    """The product where the batch axis is not the first: it may be among the axes that are not multiplied."""
    for one, other in ((x, y), (y, x)):
        multiplied = {len(one.written) - 1, len(one.written) - 2}
        if one.batched and (one.place in multiplied or one.rank < 3 or other.rank > one.rank - (not other.batched)):
            raise ValueError(f"a product of {x.written} and {y.written} would mix the rows of the batch")
    return Lowered(torch.matmul, (0, 1), taps=x.shape[-1])

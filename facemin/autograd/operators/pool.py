"""Builders for pooling."""

from functools import partial
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from facemin.autograd.operator_api import Lowered, Node, Value
from facemin.autograd.operators.conv import check_fits, check_image, window_pads


def _pool_sizes(node: Node, x: Value) -> tuple[list[int], list[int], list[int], list[int], list[int]]:
    """Kernel, strides, dilations, pads, and how far windows reach past the padded input."""
    check_image(x, "an input")
    if node.outputs != 1:
        raise ValueError(f"expected one output, got {node.outputs}")
    kernel = node.window("kernel_shape", 2, 0)
    strides, dilations = node.window("strides", 2, 1), node.window("dilations", 2, 1)
    pads = window_pads(node, x, kernel, strides, dilations)
    check_fits(x, kernel, dilations, pads)
    reach = [0, 0]
    for i, (size, k, s, d) in enumerate(zip(x.shape[2:], kernel, strides, dilations, strict=True)):
        if max(pads[i], pads[i + 2]) > (k - 1) * d:
            raise ValueError(f"expected pads smaller than the window of {k}, got {pads}")
        span = size + pads[i] + pads[i + 2] - (k - 1) * d - 1
        steps = -(-span // s) if node.integer("ceil_mode", 0) else span // s
        if steps * s >= size + pads[i]:
            steps -= 1
        reach[i] = max(steps * s - span, 0)
    return kernel, strides, dilations, pads, reach


def _max_pool(
    x: Tensor, *, around: tuple[int, ...] | None, window: tuple[list[int], list[int], list[int], list[int]]
) -> Tensor:
    if around is not None:
        x = F.pad(x, around, value=float("-inf"))
    kernel, stride, padding, dilation = window
    return torch.max_pool2d(x, kernel, stride, padding, dilation)


def max_pool(node: Node) -> Lowered:
    """The highest value in each window; padding never wins."""
    x = node.value(0)
    kernel, strides, dilations, pads, reach = _pool_sizes(node, x)
    plain = pads[:2] == pads[2:] and not any(reach) and all(2 * p <= k for p, k in zip(pads, kernel, strict=False))
    around = None if plain else (pads[1], pads[3] + reach[1], pads[0], pads[2] + reach[0])
    padding = pads[:2] if plain else [0, 0]
    window = (kernel, strides, padding, dilations)
    return Lowered(partial(_max_pool, around=around, window=window), taps=prod(kernel))


def _average_pool(x: Tensor, *, kernel: list[int], stride: list[int], padding: list[int], pads_count: bool) -> Tensor:
    return F.avg_pool2d(x, kernel, stride, padding, count_include_pad=pads_count)


def _average_pool_uneven(
    x: Tensor, counts: Tensor, *, kernel: list[int], stride: list[int], around: tuple[int, ...]
) -> Tensor:
    return F.avg_pool2d(F.pad(x, around), kernel, stride, divisor_override=1) / counts


def average_pool(node: Node) -> Lowered:
    """The mean of each window; `count_include_pad` says whether zeros around the image count."""
    x = node.value(0)
    kernel, strides, dilations, pads, reach = _pool_sizes(node, x)
    if dilations != [1, 1]:
        raise ValueError(f"expected average pooling without dilation, got {dilations}")
    included = bool(node.integer("count_include_pad", 0))
    if pads[:2] == pads[2:] and not any(reach) and all(2 * p <= k for p, k in zip(pads, kernel, strict=False)):
        run = partial(_average_pool, kernel=kernel, stride=strides, padding=pads[:2], pads_count=included)
        return Lowered(run, taps=prod(kernel))
    counts = []
    for i, size in enumerate(x.shape[2:]):
        low, high = (-pads[i], size + pads[i + 2]) if included else (0, size)
        last = size + pads[i + 2] + reach[i] - kernel[i]
        starts = range(-pads[i], last + 1, strides[i])
        counts.append(torch.tensor([float(min(s + kernel[i], high) - max(s, low)) for s in starts]))
    around = (pads[1], pads[3] + reach[1], pads[0], pads[2] + reach[0])
    run = partial(_average_pool_uneven, kernel=kernel, stride=strides, around=around)
    return Lowered(run, (0, counts[0][:, None] * counts[1]), taps=prod(kernel))


def _global_average_pool(x: Tensor) -> Tensor:
    return x.mean(dim=tuple(range(2, x.dim())), keepdim=True)


def _global_max_pool(x: Tensor) -> Tensor:
    return x.amax(dim=tuple(range(2, x.dim())), keepdim=True)


def global_pool(node: Node) -> Lowered:
    """The mean or the highest value of each channel; (B,C,...) -> (B,C,1,...)."""
    if node.value(0).rank < 3:
        raise ValueError(
            f"expected an input of three axes (batch, channels, length) or more, got {node.value(0).shape}"
        )
    return Lowered(_global_average_pool if node.op == "GlobalAveragePool" else _global_max_pool)

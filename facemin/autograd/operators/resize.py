"""Builder for Resize and Upsample: one matrix per image axis, so every mode is exact and differentiable."""

from collections.abc import Callable
from math import floor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facemin.autograd.operator_api import Lowered, Node, Value
from facemin.models.onnx.operators import check_intermediate

Float = np.float32
"""Coordinates are computed in single precision, as the reference runtime does: ties in nearest mode depend on it."""

CUBIC = -0.75

ROUNDING: dict[str, Callable[[Any], Any]] = {
    "round_prefer_floor": lambda at: np.ceil(at - Float(0.5)),
    "round_prefer_ceil": lambda at: np.floor(at + Float(0.5)),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _positions(size: int, length: int, scale: float, mode: str) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    """Where in the input each output pixel lies."""
    at = np.arange(length, dtype=Float)
    if mode == "align_corners":
        return at * Float((size - 1) / (length - 1)) if length > 1 else at * Float(0)
    if mode == "asymmetric":
        return at / Float(scale)
    if mode == "pytorch_half_pixel" and length == 1:
        return at * Float(0)
    return (at + Float(0.5)) / Float(scale) - Float(0.5)


def _matrix(size: int, length: int, scale: float, node: Node, kind: str) -> Tensor:
    """(length, size): how much of each input pixel each output pixel takes."""
    default = "half_pixel" if node.op == "Resize" and node.opset >= 11 else "asymmetric"
    modes = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
    at = _positions(size, length, scale, node.only("coordinate_transformation_mode", modes, default))
    matrix = np.zeros((length, size))
    rows = np.arange(length)
    if kind == "nearest":
        default = "round_prefer_floor" if node.op == "Resize" and node.opset >= 11 else "floor"
        chosen = ROUNDING[node.only("nearest_mode", list(ROUNDING), default)](at)
        matrix[rows, np.clip(chosen, 0, size - 1).astype(int)] = 1
    elif kind == "linear":
        at = np.clip(at, 0, size - 1)
        low = np.minimum(np.floor(at).astype(int), max(size - 2, 0))
        part = at - low
        np.add.at(matrix, (rows, low), 1 - part)
        np.add.at(matrix, (rows, np.minimum(low + 1, size - 1)), part)
    else:
        low = np.floor(at).astype(int)
        a = node.number("cubic_coeff_a", CUBIC)
        for offset in range(-1, 3):
            d = np.abs(at - low - offset)
            near = (a + 2) * d**3 - (a + 3) * d**2 + 1
            far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
            np.add.at(matrix, (rows, np.clip(low + offset, 0, size - 1)), np.where(d <= 1, near, far))
    return torch.from_numpy(matrix).float()


def _resize(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    return torch.matmul(torch.matmul(rows, x), columns)


def _scales_and_sizes(node: Node, x: Value) -> tuple[list[float], list[int]]:
    old = node.op == "Upsample" or node.opset < 11
    if node.op == "Upsample" and node.opset < 9:
        scales = node.attributes.get("scales", [])
        if not isinstance(scales, list):
            raise ValueError(f"expected scales as a list, got {scales!r:.80}")
    else:
        scales = node.numbers(1 if old else 2) if old or node.optional(2) else []
    axes = list(node.attributes.get("axes", range(x.rank)))
    if sorted(axis % x.rank for axis in axes) not in ([2, 3], [0, 1, 2, 3]):
        raise ValueError(f"expected to resize height and width, got axes {axes!r:.80}")
    sizes = node.integers(3) if not scales and not old and node.optional(3) else []
    given = scales or sizes
    if len(given) != len(axes) or not all(0 < n <= 1 << 20 for n in given):
        raise ValueError(f"expected a scale or a size for each of the axes {axes}, got {given!r:.80}")
    placed = {axis % x.rank: n for axis, n in zip(axes, given, strict=True)}
    if any(placed.get(i, 1 if scales else x.shape[i]) != (1 if scales else x.shape[i]) for i in (0, 1)):
        raise ValueError(f"expected to resize height and width only, got {given!r:.80}")
    if scales:
        return [placed[i] for i in (2, 3)], [floor(Float(x.shape[i]) * Float(placed[i])) for i in (2, 3)]
    return [placed[i] / x.shape[i] for i in (2, 3)], [placed[i] for i in (2, 3)]


def resize(node: Node) -> Lowered:
    """Height and width resampled, by nearest, linear or cubic interpolation."""
    x = node.value(0)
    if x.rank != 4:
        raise ValueError(f"expected an input of four axes (batch, channels, height, width), got {x.shape}")
    kind = node.only("mode", ["nearest", "linear", "cubic"], "nearest")
    node.only("antialias", [0], 0)
    node.only("exclude_outside", [0], 0)
    node.only("keep_aspect_ratio_policy", ["stretch"], "stretch")
    scales, sizes = _scales_and_sizes(node, x)
    if min(sizes) < 1:
        raise ValueError(f"expected at least one pixel, got {sizes}")
    check_intermediate(max(size * length for size, length in zip(x.shape[2:], sizes, strict=True)) * 64, "a resize")
    rows, columns = (
        _matrix(size, length, scale, node, kind) for size, length, scale in zip(x.shape[2:], sizes, scales, strict=True)
    )
    return Lowered(_resize, (0, rows, columns.t().contiguous()), taps=x.shape[2] + x.shape[3])

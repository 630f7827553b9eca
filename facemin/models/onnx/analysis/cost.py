"""Cost of a node for one image, with limits on windows and scratch space."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from onnx import TensorProto

from facemin.models.onnx.analysis.static_value import FLOATS
from facemin.models.onnx.attributes import WIDEST_WINDOW
from facemin.models.onnx.operators import FACTOR_A_CHANNEL, check_intermediate

if TYPE_CHECKING:
    from collections.abc import Callable

    from facemin.models.onnx.analysis.static_value import StaticNode, StaticValue

    Shape = tuple[int, ...]

LONGEST_RANGE = 1 << 20


def taps(node: StaticNode, result: Shape) -> int:
    """Elementary operations per element of a node's result.

    Args:
        node: the node.
        result: shape of its first output, at a batch of one.

    Raises:
        ValueError: a setting beyond measure, or one that does not fit its inputs.
    """
    return COSTS[node.op](node, result) if node.op in COSTS else 1


def _weights(node: StaticNode, axes: range) -> tuple[StaticValue, StaticValue, int]:
    x, weight, group = node.value(0), node.value(1), node.integer("group", 1)
    if x.rank not in axes or weight.rank != x.rank:
        raise ValueError(f"expected an image and a weight of as many axes, got {x.shape} and {weight.shape}")
    if weight.batched or weight.kind not in FLOATS:
        raise ValueError("expected constant weights of floats, not computed from the image")
    if max(weight.shape[2:]) > WIDEST_WINDOW:
        raise ValueError(f"expected a window of at most {WIDEST_WINDOW} pixels, got a weight of {weight.shape}")
    declared = node.attributes.get("kernel_shape")
    if declared is not None and tuple(declared) != weight.shape[2:]:
        raise ValueError(f"expected kernel_shape {weight.shape[2:]} as the weight has, got {declared!r:.80}")
    transposed = node.op == "ConvTranspose"
    fits = (
        weight.shape[0] == x.shape[1] and group > 0 and x.shape[1] % group == 0
        if transposed
        else group > 0 and weight.shape[0] % group == 0 and weight.shape[1] * group == x.shape[1]
    )
    if not fits:
        raise ValueError(f"{group} groups do not fit {x.shape[1]} channels and a weight of {weight.shape}")
    channels = weight.shape[1] * group if transposed else weight.shape[0]
    bias = node.optional(2)
    if bias is not None and (bias.batched or bias.shape != (channels,) or bias.kind not in FLOATS):
        raise ValueError(f"expected a constant bias of shape {(channels,)}, got {bias.shape}")
    return x, weight, group


def _window(node: StaticNode, x: StaticValue, kernel: list[int]) -> tuple[list[int], list[int], list[int]]:
    """Strides, dilations and pads (top, left, bottom, right) of a window that fits into the padded image."""
    sides = len(kernel)
    strides, dilations = node.window("strides", sides, 1), node.window("dilations", sides, 1)
    mode = node.only("auto_pad", ["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"], "NOTSET")
    pads = [0] * 2 * sides
    if mode == "NOTSET":
        pads = node.window("pads", 2 * sides, 0, least=0)
    elif mode != "VALID":
        for i, (size, k, s, d) in enumerate(zip(x.shape[2:], kernel, strides, dilations, strict=True)):
            total = max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
            pads[i], pads[i + sides] = total // 2, total - total // 2
    for size, k, d, low, high in zip(x.shape[2:], kernel, dilations, pads[:sides], pads[sides:], strict=True):
        if (k - 1) * d + 1 > size + low + high:
            raise ValueError(f"a window of {k} with dilation {d} does not fit into {size} + {low} + {high} pixels")
    return strides, dilations, pads


def _conv(node: StaticNode, result: Shape) -> int:
    x, weight, _ = _weights(node, range(3, 5))
    sides = x.rank - 2
    _, _, pads = _window(node, x, list(weight.shape[2:]))
    padded = [size + low + high for size, low, high in zip(x.shape[2:], pads[:sides], pads[sides:], strict=True)]
    each = prod(weight.shape[1:])
    check_intermediate(max(each * prod(result[2:]), x.shape[1] * prod(padded)), "an unfolded input")
    return each


def _conv_transpose(node: StaticNode, result: Shape) -> int:
    del result
    x, weight, group = _weights(node, range(4, 5))
    strides, dilations = node.window("strides", 2, 1), node.window("dilations", 2, 1)
    node.window("output_padding", 2, 0, least=0)
    node.only("auto_pad", ["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"], "NOTSET")
    node.window("pads", 4, 0, least=0)
    if "output_shape" in node.attributes:
        node.window("output_shape", 2, 1)
    full = [
        (size - 1) * s + (k - 1) * d + 1
        for size, k, s, d in zip(x.shape[2:], weight.shape[2:], strides, dilations, strict=True)
    ]
    check_intermediate(weight.shape[1] * group * prod(full), "an output before cropping")
    return x.shape[1] // group * prod(weight.shape[2:])


def _pool(node: StaticNode, result: Shape) -> int:
    del result
    x = node.value(0)
    if x.rank != 4:
        raise ValueError(f"expected an input of four axes (batch, channels, height, width), got {x.shape}")
    if node.outputs != 1:
        raise ValueError(f"expected one output, got {node.outputs}")
    kernel = node.window("kernel_shape", 2, 0)
    _, dilations, pads = _window(node, x, kernel)
    if node.op == "AveragePool" and dilations != [1, 1]:
        raise ValueError(f"expected average pooling without dilation, got {dilations}")
    if any(max(pads[i], pads[i + 2]) > (kernel[i] - 1) * dilations[i] for i in (0, 1)):
        raise ValueError(f"expected pads smaller than the window of {kernel}, got {pads}")
    return prod(kernel)


def _product(node: StaticNode, result: Shape) -> int:
    del result
    return node.value(0).shape[-1]


def _batch_normalization(node: StaticNode, result: Shape) -> int:
    del result
    x = node.value(0)
    if node.outputs != 1 or node.integer("training_mode", 0):
        raise ValueError("expected batch normalisation by its stored statistics, not in training mode")
    vectors = [node.value(index) for index in range(1, 5)]
    if any(vector.batched or vector.kind not in FLOATS for vector in vectors):
        raise ValueError("expected four constant vectors of floats, not computed from the image")
    if not node.only("spatial", [0, 1], 1) and vectors[0].rank > 1:
        raise ValueError(f"expected statistics per channel, got {vectors[0].shape}, one for each pixel (spatial 0)")
    if any(vector.shape != x.shape[1:2] for vector in vectors):
        raise ValueError(f"expected four vectors of shape {x.shape[1:2]}, got {[vector.shape for vector in vectors]}")
    return 1


def _channels(node: StaticNode, result: Shape) -> int:
    x = node.value(0)
    if x.rank < 3:
        raise ValueError(f"expected an input of three axes (batch, channels, length) or more, got {x.shape}")
    vectors = [node.value(index) for index in (1, 2)]
    if any(vector.batched or vector.kind not in FLOATS for vector in vectors):
        raise ValueError("expected two constant vectors of floats, not computed from the image")
    each = result[1]
    if node.op == "GroupNormalization":
        groups = node.integer("num_groups", 0)
        if groups < 1 or x.shape[1] % groups:
            raise ValueError(
                f"expected groups that divide the channels of (batch, channels, ...), got {groups}, {x.shape}"
            )
        each = each if node.opset >= FACTOR_A_CHANNEL else groups
    if any(vector.shape != (each,) for vector in vectors):
        raise ValueError(f"expected two vectors of {each}, got {[vector.shape for vector in vectors]}")
    return 4


def _inner_axes(node: StaticNode, result: Shape) -> int:
    node.only("stash_type", [1], 1)
    if node.op == "LayerNormalization" and node.outputs != 1:
        raise ValueError(f"expected the normalised value alone, got {node.outputs} outputs in use")
    inner = result[node.integer("axis", -1) :] if node.integer("axis", -1) else result
    for index in (1, 2):
        held = node.optional(index) if index == 2 else node.value(1)
        if held is None:
            continue
        fits = held.rank <= len(inner) and all(n in (1, m) for n, m in zip(held.shape[::-1], inner[::-1], strict=False))
        if held.batched or held.kind not in FLOATS or not fits:
            raise ValueError(f"expected input number {index + 1} to be constant and to fit {inner}, got {held.shape}")
    return 4


def _local_response(node: StaticNode, result: Shape) -> int:
    size = node.integer("size", 0)
    if len(result) < 3 or not 1 <= size <= 2 * result[1]:
        raise ValueError(f"expected a window over channels of (batch, channels, ...), got {size} and {result}")
    return 2 * size


def _resize(node: StaticNode, result: Shape) -> int:
    x = node.value(0)
    if x.rank != 4 or result[:2] != x.shape[:2]:
        raise ValueError(f"expected to resize height and width of an image only, got {x.shape} to {result}")
    node.only("mode", ["nearest", "linear", "cubic"], "nearest")
    node.only("antialias", [0], 0)
    node.only("exclude_outside", [0], 0)
    node.only("keep_aspect_ratio_policy", ["stretch"], "stretch")
    modes = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
    node.only("coordinate_transformation_mode", modes, modes[0])
    for index in range(1, len(node.inputs)):
        if node.optional(index) is not None:
            node.numbers(index)
    lengths = zip(x.shape[2:], result[2:], strict=True)
    check_intermediate(max(size * length for size, length in lengths) * 64, "a resize")
    return x.shape[2] + x.shape[3]


def _global_pool(node: StaticNode, result: Shape) -> int:
    del result
    if node.value(0).rank < 3:
        raise ValueError(
            f"expected an input of three axes (batch, channels, length) or more, got {node.value(0).shape}"
        )
    return 1


def _blocks(node: StaticNode, result: Shape) -> int:
    del result
    x, block = node.value(0), node.integer("blocksize", 1)
    space = node.op == "SpaceToDepth"
    if x.rank != 4 or block < 1 or (x.shape[2] % block or x.shape[3] % block if space else x.shape[1] % block**2):
        raise ValueError(f"cannot move blocks of {block} of {x.shape}")
    return 1


def _einsum(node: StaticNode, result: Shape) -> int:
    del result
    left, given = str(node.attributes.get("equation", "")).replace(" ", "").split("->")
    sizes: dict[str, int] = {}
    for term, value in zip(left.split(","), node.inputs, strict=True):
        if value is None or len(term) != value.rank:
            raise ValueError(f"{left}: expected a letter for each axis of the inputs")
        for letter, n in zip(term, value.shape, strict=True):
            if sizes.setdefault(letter, n) != n:
                raise ValueError(f"{left}: axis {letter} is {sizes[letter]} and {n} long")
    return prod(n for letter, n in sizes.items() if letter not in given)


def _cast(node: StaticNode, result: Shape) -> int:
    del result
    to = node.integer("to", 1)
    if to not in (*FLOATS, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL):
        raise ValueError(f"expected a cast to float, double, int32, int64 or bool, got type {to}")
    if node.value(0).batched and to not in FLOATS:
        raise ValueError("a cast of image values to integers has no gradient")
    return 1


def _dropout(node: StaticNode, result: Shape) -> int:
    del result
    if node.optional(2) is not None and any(node.numbers(2)):
        raise ValueError("expected dropout that drops nothing, got one in training mode: export in eval mode")
    return 1


def _lp(node: StaticNode, result: Shape) -> int:
    del result
    node.only("p", [1, 2], 2)
    return 2


COSTS: dict[str, Callable[[StaticNode, Shape], int]] = {
    "AveragePool": _pool,
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "DepthToSpace": _blocks,
    "Dropout": _dropout,
    "Einsum": _einsum,
    "Gemm": _product,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "GroupNormalization": _channels,
    "InstanceNormalization": _channels,
    "LRN": _local_response,
    "LayerNormalization": _inner_axes,
    "LpNormalization": _lp,
    "MatMul": _product,
    "MaxPool": _pool,
    "RMSNormalization": _inner_axes,
    "Resize": _resize,
    "SpaceToDepth": _blocks,
    "Upsample": _resize,
}
"""By operator; the others cost one operation an element."""

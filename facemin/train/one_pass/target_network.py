"""The frozen network from an image to its place in a key's space, laid out for speed of its gradient."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper, shape_inference
from torch import nn
from torch.nn import functional as F

from facemin.autograd.module import OnnxModule
from facemin.models.onnx.graph import bottlenecks, extract

if TYPE_CHECKING:
    from torch import Tensor


class TargetNetwork(nn.Module):
    """Images to unit vectors of the space, differentiable in the images alone.

    Args:
        graph: takes (batch, 3, 112, 112), RGB in [0, 1]; its one output is the space, of any length.
        precision: of the convolutions. What follows the last map of more than one pixel is computed in float32: a
            whitened space magnifies the errors of an embedding.

    Raises:
        ValueError: when the output is no vector.
    """

    def __init__(self, graph: onnx.ModelProto, *, precision: torch.dtype = torch.float32) -> None:
        super().__init__()
        output = graph.graph.output[0].name
        maps = [place.name for place in bottlenecks(graph) if len(place.shape) == 3 and prod(place.shape[1:]) > 1]
        places = [name for name in maps if name != output]
        self.precision = precision if places else torch.float32
        front = extract(graph, end=places[-1]) if places else graph
        self.front = OnnxModule(without_first_stride(front)).to(self.precision)
        self.rest = OnnxModule(extract(graph, start=places[-1], end=output)) if places else None
        shape = (self.rest or self.front).output_shape
        if len(shape) != 1:
            raise ValueError(f"key: expected a graph that ends in a vector, got an output of shape {shape}")
        self.dimensions = int(shape[0])
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, 112, 112) in [0, 1] -> (B, D), float32 rows of unit length."""
        made = self.front(images.to(self.precision)).float()
        return F.normalize(made if self.rest is None else self.rest(made))


def without_first_stride(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same function, with a first convolution of stride 2 on few channels as one of stride 1 on four times as many.

    On a processor, the gradient of a convolution on three channels takes several times what its size would need.
    A graph whose first convolution is of another kind comes back unchanged.
    """
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    found = next((node for node in model.graph.node if node.op_type == "Conv"), None)
    if found is None or found.input[1] not in weights:
        return model
    options = {item.name: helper.get_attribute_value(item) for item in found.attribute}
    weight = numpy_helper.to_array(weights[found.input[1]])
    kernel, pads = weight.shape[2], list(options.get("pads", [0] * 4))
    plain = options.get("group", 1) == 1 and set(options.get("dilations", [1])) == {1} and "auto_pad" not in options
    square = weight.shape[3] == kernel and len(set(pads)) == 1
    side = _side(model, found.input[0])
    if not plain or not square or list(options.get("strides", [])) != [2, 2] or weight.shape[1] > 4 or side is None:
        return model
    padded = side + 2 * pads[0] + (side % 2)
    even = kernel + kernel % 2
    if padded // 2 - even // 2 != (side + 2 * pads[0] - kernel) // 2:
        return model
    result = onnx.ModelProto()
    result.CopyFrom(model)
    _replace(result, found.output[0], _interleaved(weight, even), pads[0], padded - side - pads[0], padded // 2)
    return result


def _side(model: onnx.ModelProto, name: str) -> int | None:
    """Height of a value, where it is as wide as high."""
    graph = shape_inference.infer_shapes(model).graph
    for value in (*graph.value_info, *graph.input):
        sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if value.name == name and len(sizes) == 4 and sizes[2] == sizes[3] > 0:
            return int(sizes[2])
    return None


def _interleaved(weight: np.ndarray, even: int) -> np.ndarray:
    """(out, in, k, k) at stride 2 -> (out, 4 in, ceil(k / 2), ceil(k / 2)) at stride 1."""
    outputs, inputs, kernel, _ = weight.shape
    wide = np.zeros((outputs, inputs, even, even), np.float32)
    wide[:, :, :kernel, :kernel] = weight
    half = even // 2
    parts = wide.reshape(outputs, inputs, half, 2, half, 2).transpose(0, 1, 3, 5, 2, 4)
    return np.ascontiguousarray(parts.reshape(outputs, 4 * inputs, half, half))


def _replace(model: onnx.ModelProto, output: str, weight: np.ndarray, before: int, after: int, half: int) -> None:
    graph = model.graph
    at = next(index for index, node in enumerate(graph.node) if output in node.output)
    node = graph.node[at]
    channels = weight.shape[1] // 4
    constants = {
        "unstrided_pads": np.array([0, 0, before, before, 0, 0, after, after], np.int64),
        "unstrided_apart": np.array([0, channels, half, 2, half, 2], np.int64),
        "unstrided_together": np.array([0, 4 * channels, half, half], np.int64),
        "unstrided_weight": weight,
    }
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    source, first = node.input[0], []
    if before or after:
        first.append(helper.make_node("Pad", [source, "unstrided_pads"], ["unstrided_padded"]))
        source = "unstrided_padded"
    first += [
        helper.make_node("Reshape", [source, "unstrided_apart"], ["unstrided_1"]),
        helper.make_node("Transpose", ["unstrided_1"], ["unstrided_2"], perm=[0, 1, 3, 5, 2, 4]),
        helper.make_node("Reshape", ["unstrided_2", "unstrided_together"], ["unstrided_3"]),
        helper.make_node("Conv", ["unstrided_3", "unstrided_weight", *node.input[2:]], [output]),
    ]
    nodes = [*graph.node[:at], *first, *graph.node[at + 1 :]]
    del graph.node[:]
    graph.node.extend(nodes)

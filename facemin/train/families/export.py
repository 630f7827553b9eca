"""A trained family as an ONNX graph whose values are named after its modules, so that cuts have readable names.

The families are made of a dozen kinds of layers, so a walk over them is shorter than torch's own exporter, keeps the
names that it loses, and needs no further package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from facemin.train.families.layers import FACE, CentreCrop, Residual, Scale, SqueezeExcite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

OPSET = 17
IR_VERSION = 8


def to_graph(module: nn.Module, *, name: str = "facemin") -> ModelProto:
    """What a module computes in eval mode, as an ONNX graph that `facemin.models.onnx.graph.read_graph` accepts.

    The value that a submodule gives is named like the submodule ("block3_2", "block3_2.body.conv1"), the output like
    the last stage. Weights are copied in single precision; the module stays as it is.

    Args:
        module: from faces (B, 3, 112, 112) to embeddings (B, D), an `nn.Sequential` of the layers in `LAYERS` and
            those of `facemin.train.families.layers`.
        name: the graph's.

    Raises:
        ValueError: a layer that has no ONNX form here, or a weight that is not finite; its path is named.
    """
    if not isinstance(module, nn.Sequential) or len(module) == 0:
        raise ValueError(f"module: expected an nn.Sequential of named stages, got {type(module).__name__}")
    build = _Graph()
    value = build.sequence(module, "faces", "", "")
    faces = helper.make_tensor_value_info("faces", TensorProto.FLOAT, ["batch", 3, FACE, FACE])
    embedding = helper.make_tensor_value_info(value, TensorProto.FLOAT, ["batch", None])
    body = helper.make_graph(build.nodes, name, [faces], [embedding], build.initialisers)
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(body, opset_imports=opsets, ir_version=IR_VERSION, producer_name="facemin")


class _Graph:
    """Nodes and weights so far. A module's value takes the module's path, or that of the container it ends."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.initialisers: list[TensorProto] = []

    def module(self, module: nn.Module, source: str, path: str, output: str) -> str:
        if isinstance(module, nn.Sequential):
            return self.sequence(module, source, path, output)
        if isinstance(module, Residual):
            body = self.branch(module.body, source, f"{path}.body")
            shortcut = self.branch(module.shortcut, source, f"{path}.shortcut")
            return self.node("Add", [body, shortcut], output)
        if isinstance(module, SqueezeExcite):
            return self.node("Mul", [source, self.branch(module.gate, source, f"{path}.gate")], output)
        write = LAYERS.get(type(module))
        if write is None:
            raise ValueError(f"{path}: expected a layer that facemin exports, got {type(module).__name__}")
        return write(self, module, source, path, output)

    def branch(self, module: nn.Module, source: str, path: str) -> str:
        return source if isinstance(module, nn.Identity) else self.module(module, source, path, path)

    def sequence(self, module: nn.Sequential, source: str, path: str, output: str) -> str:
        children = [(f"{path}.{name}" if path else name, child) for name, child in module.named_children()]
        for child_path, child in children[:-1]:
            source = self.module(child, source, child_path, child_path)
        last_path, last = children[-1]
        return self.module(last, source, last_path, output or last_path)

    def node(self, operator: str, inputs: Iterable[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def weight(self, elements: Tensor | NDArray[np.generic], name: str) -> str:
        array = elements.detach().cpu().float().numpy() if isinstance(elements, Tensor) else elements
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: expected finite weights")
        self.initialisers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name


def _convolution(graph: _Graph, layer: nn.Conv2d, source: str, path: str, output: str) -> str:
    if isinstance(layer.padding, str) or layer.padding_mode != "zeros":
        raise ValueError(f"{path}: expected a convolution padded by zeros, as many as numbers say")
    inputs = [source, graph.weight(layer.weight, f"{path}.weight")]
    if layer.bias is not None:
        inputs.append(graph.weight(layer.bias, f"{path}.bias"))
    return graph.node(
        "Conv",
        inputs,
        output,
        kernel_shape=list(layer.kernel_size),
        strides=list(layer.stride),
        pads=[*layer.padding, *layer.padding],
        dilations=list(layer.dilation),
        group=layer.groups,
    )


def _normalisation(graph: _Graph, layer: nn.BatchNorm1d | nn.BatchNorm2d, source: str, path: str, output: str) -> str:
    held = {name: getattr(layer, name) for name in ("weight", "bias", "running_mean", "running_var")}
    absent = [name for name, tensor in held.items() if tensor is None]
    if absent:
        raise ValueError(f"{path}: expected a batch normalisation with factors and stored statistics, without {absent}")
    weights = [graph.weight(tensor, f"{path}.{name}") for name, tensor in held.items()]
    return graph.node("BatchNormalization", [source, *weights], output, epsilon=layer.eps)


def _prelu(graph: _Graph, layer: nn.PReLU, source: str, path: str, output: str) -> str:
    return graph.node("PRelu", [source, graph.weight(layer.weight[:, None, None], f"{path}.weight")], output)


def _linear(graph: _Graph, layer: nn.Linear, source: str, path: str, output: str) -> str:
    inputs = [source, graph.weight(layer.weight, f"{path}.weight")]
    if layer.bias is not None:
        inputs.append(graph.weight(layer.bias, f"{path}.bias"))
    return graph.node("Gemm", inputs, output, transB=1)


def _mean(graph: _Graph, layer: nn.AdaptiveAvgPool2d, source: str, path: str, output: str) -> str:
    if layer.output_size not in (1, (1, 1)):
        raise ValueError(f"{path}: expected average pooling to one pixel, got {layer.output_size}")
    return graph.node("GlobalAveragePool", [source], output)


def _maximum(graph: _Graph, layer: nn.MaxPool2d, source: str, path: str, output: str) -> str:
    sides = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    kernel, stride, padding, dilation = ([n, n] if isinstance(n, int) else list(n) for n in sides)
    if layer.ceil_mode or dilation != [1, 1]:
        raise ValueError(f"{path}: expected pooling without ceil_mode and dilation")
    return graph.node("MaxPool", [source], output, kernel_shape=kernel, strides=stride, pads=[*padding, *padding])


def _flatten(graph: _Graph, layer: nn.Flatten, source: str, path: str, output: str) -> str:
    if (layer.start_dim, layer.end_dim) != (1, -1):
        raise ValueError(f"{path}: expected one row a face, got dimensions {layer.start_dim} to {layer.end_dim}")
    return graph.node("Flatten", [source], output, axis=1)


def _scale(graph: _Graph, layer: Scale, source: str, path: str, output: str) -> str:
    product = graph.node("Mul", [source, graph.weight(layer.factor, f"{path}.factor")], f"{path}.product")
    return graph.node("Sub", [product, graph.weight(layer.offset, f"{path}.offset")], output)


def _crop(graph: _Graph, layer: CentreCrop, source: str, path: str, output: str) -> str:
    starts = np.array(layer.starts)
    bounds = {"starts": starts, "ends": starts + layer.size, "axes": np.array([2, 3])}
    inputs = [graph.weight(elements.astype(np.int64), f"{path}.{name}") for name, elements in bounds.items()]
    return graph.node("Slice", [source, *inputs], output)


def _plain(operator: str) -> Callable[[_Graph, Any, str, str, str], str]:
    def write(graph: _Graph, layer: nn.Module, source: str, path: str, output: str) -> str:
        del layer, path
        return graph.node(operator, [source], output)

    return write


LAYERS: dict[type[nn.Module], Callable[[_Graph, Any, str, str, str], str]] = {
    CentreCrop: _crop,
    Scale: _scale,
    nn.AdaptiveAvgPool2d: _mean,
    nn.BatchNorm1d: _normalisation,
    nn.BatchNorm2d: _normalisation,
    nn.Conv2d: _convolution,
    nn.Dropout: _plain("Identity"),
    nn.Flatten: _flatten,
    nn.Identity: _plain("Identity"),
    nn.Linear: _linear,
    nn.MaxPool2d: _maximum,
    nn.PReLU: _prelu,
    nn.ReLU: _plain("Relu"),
    nn.Sigmoid: _plain("Sigmoid"),
}
"""How each kind of layer is written. Dropout does nothing outside training."""

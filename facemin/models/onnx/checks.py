"""Refusal of unsafe ONNX models, before anything of them is computed."""

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto

from facemin.models.onnx.limits import GraphLimits
from facemin.models.onnx.operators import ALLOWED

OPSETS = range(7, onnx.defs.onnx_opset_version() + 1)
"""From what onnxruntime still runs to what the installed onnx knows."""

HALVES = frozenset({TensorProto.FLOAT16, TensorProto.BFLOAT16})
"""Element types that `adapt` turns into float32."""

QUANTISED = frozenset(
    """
    ConvInteger DequantizeLinear DynamicQuantizeLinear MatMulInteger QAttention QGemm QLinearAdd QLinearAveragePool
    QLinearConcat QLinearConv QLinearGlobalAveragePool QLinearLeakyRelu QLinearMatMul QLinearMul QLinearSigmoid
    QuantizeLinear
    """.split()  # noqa: SIM905  (a column of sixteen names reads worse)
)
WHAT_TO_DO_QUANTISED = "facemin follows gradients and needs weights in floating point: export without quantisation"
DEFAULT_DOMAINS = frozenset({"", "ai.onnx"})
LARGEST_TENSOR = 1 << 40
MOST_AXES = 8
MOST_CONNECTIONS = 256

INTEGERS = frozenset({TensorProto.INT8, TensorProto.UINT8, TensorProto.INT4, TensorProto.UINT4, TensorProto.INT16})
"""Element types of quantised weights."""

_TYPE_NUMBERS = frozenset(TensorProto.DataType.values())

PAYLOADS: dict[int, tuple[str, np.dtype[Any]]] = {
    TensorProto.FLOAT: ("float_data", np.dtype("<f4")),
    TensorProto.DOUBLE: ("double_data", np.dtype("<f8")),
    TensorProto.INT32: ("int32_data", np.dtype("<i4")),
    TensorProto.INT64: ("int64_data", np.dtype("<i8")),
    TensorProto.BOOL: ("int32_data", np.dtype("?")),
    TensorProto.FLOAT16: ("int32_data", np.dtype("<u2")),
    TensorProto.BFLOAT16: ("int32_data", np.dtype("<u2")),
}
"""Where each allowed element type keeps its elements, and how it lies in raw bytes."""


def check_model(model: onnx.ModelProto, *, limits: GraphLimits, inputs: int) -> None:
    """Raises ValueError for anything in a model that facemin does not run.

    Args:
        model: the parsed file.
        limits: how large it may be.
        inputs: how many images the graph takes.
    """
    _check_opset(model)
    if model.functions or model.training_info:
        raise ValueError("expected a plain graph, got functions or training information")
    graph = model.graph
    if graph.sparse_initializer:
        raise ValueError("expected dense weights, got sparse initialisers")
    if len(graph.node) > limits.nodes:
        raise ValueError(f"expected at most {limits.nodes} nodes, got {len(graph.node)}")
    if not graph.node:
        raise ValueError("expected a graph with nodes, got none")
    for tensor in tensors(graph):
        check_tensor(tensor)
    for index, node in enumerate(graph.node):
        _check_node(index, node)
    _check_names(graph)
    _check_inputs(graph, limits, inputs)


def _check_opset(model: onnx.ModelProto) -> None:
    # Other domains are imported by converters and by onnxruntime whether or not a node uses them; such nodes are
    # refused one by one.
    versions = [o.version for o in model.opset_import if o.domain in DEFAULT_DOMAINS]
    if len(versions) != 1 or versions[0] not in OPSETS:
        raise ValueError(
            f"expected one opset version from {OPSETS[0]} to {OPSETS[-1]}, got {versions!r:.80}: "
            "export the network again, at opset 17 for instance"
        )


def tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """Every tensor of a graph: its initialisers, and those in nodes' attributes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def check_tensor(tensor: TensorProto) -> None:
    """Raises ValueError where a tensor is not held in the file, is not what it declares, or is not finite.

    Sizes are compared as Python integers before any element is touched, so a false one costs nothing.
    """
    where = f"tensor {tensor.name!r:.80}"
    if tensor.data_location != TensorProto.DEFAULT or tensor.external_data:
        raise ValueError(
            f"{where}: expected its elements inside the file, got external data: give the path of the .onnx file, "
            "with the other beside it"
        )
    if tensor.data_type in INTEGERS:
        raise ValueError(f"{where}: expected floats, got quantised weights; {WHAT_TO_DO_QUANTISED}")
    if tensor.data_type not in PAYLOADS:
        raise ValueError(f"{where}: expected float, double, int32, int64 or bool, got type {tensor.data_type}")
    if tensor.HasField("segment"):
        raise ValueError(f"{where}: expected a whole tensor, got a segment")
    dims = list(tensor.dims)
    if len(dims) > MOST_AXES or any(n < 0 for n in dims):
        raise ValueError(f"{where}: expected at most {MOST_AXES} dimensions of 0 or more, got {dims!r:.200}")
    size = prod(dims)
    if size > LARGEST_TENSOR:
        raise ValueError(f"{where}: expected at most {LARGEST_TENSOR} elements, got dimensions {dims!r:.200}")
    field, dtype = PAYLOADS[tensor.data_type]
    typed = getattr(tensor, field)
    held = len(tensor.raw_data) // dtype.itemsize if tensor.HasField("raw_data") else len(typed)
    loose = len(tensor.raw_data) % dtype.itemsize
    if held != size or loose or (typed and tensor.HasField("raw_data")):
        raise ValueError(f"{where}: its dimensions {dims!r:.200} need {size} elements, but it holds {held}")
    if dtype.kind == "f" and size:
        _check_finite(np.frombuffer(tensor.raw_data, dtype) if tensor.HasField("raw_data") else np.array(typed), where)


def _check_finite(elements: "np.ndarray[Any, np.dtype[Any]]", where: str) -> None:
    # The extremes of an array show infinity and pass on NaN; a mask would take another quarter of its memory.
    low, high = float(elements.min()), float(elements.max())
    if not max(abs(low), abs(high)) <= float(np.finfo(np.float32).max):
        raise ValueError(f"{where}: expected finite weights, got values from {low} to {high}")


def _check_node(index: int, node: NodeProto) -> None:
    where = f"node {index} ({node.op_type!r:.40}, {node.name!r:.80})"
    if node.op_type in QUANTISED:
        raise ValueError(f"{where}: the network is quantised; {WHAT_TO_DO_QUANTISED}")
    if node.domain not in DEFAULT_DOMAINS:
        raise ValueError(
            f"{where}: expected ONNX's default domain, got {node.domain!r:.80}: give the file that was exported, not "
            "one that a runtime has optimised (onnxruntime: graph_optimization_level ORT_ENABLE_BASIC at most)"
        )
    for attribute in node.attribute:
        kinds = (AttributeProto.GRAPH, AttributeProto.GRAPHS)
        if attribute.type in kinds or attribute.HasField("g") or attribute.graphs:
            raise ValueError(f"{where}: expected no subgraphs, got one in attribute {attribute.name!r:.80}")
        if attribute.HasField("sparse_tensor") or attribute.sparse_tensors or attribute.ref_attr_name:
            raise ValueError(f"{where}: attribute {attribute.name!r:.80} is sparse or refers to a function's")
    if node.op_type not in ALLOWED:
        raise ValueError(
            f"{where}: the operator is not among those facemin runs: export the network alone, from the image to the "
            "embedding, in eval mode and without control flow or post-processing"
        )
    if not node.output or max(len(node.input), len(node.output)) > MOST_CONNECTIONS:
        raise ValueError(f"{where}: expected up to {MOST_CONNECTIONS} inputs and outputs, and at least one output")
    if len({attribute.name for attribute in node.attribute}) != len(node.attribute):
        raise ValueError(f"{where}: expected distinct attributes")


def _check_names(graph: GraphProto) -> None:
    known = [tensor.name for tensor in graph.initializer]
    defined = set(known)
    if len(defined) != len(known) or "" in defined:
        raise ValueError("expected initialisers with distinct names")
    for value in graph.input:
        defined.add(value.name)
    if len({value.name for value in graph.input}) != len(graph.input) or "" in defined:
        raise ValueError("expected inputs with distinct names")
    for index, node in enumerate(graph.node):
        missing = [name for name in node.input if name and name not in defined]
        if missing:
            raise ValueError(f"node {index} ({node.op_type!r:.40}) uses {missing[0]!r:.80} before anything defines it")
        for place, name in enumerate(node.output):
            if not name and place:
                continue
            if not name or name in defined:
                raise ValueError(f"node {index} ({node.op_type!r:.40}): output {name!r:.80} is empty or defined twice")
            defined.add(name)
    absent = [value.name for value in graph.output if value.name not in defined]
    if absent or not graph.output:
        raise ValueError(f"expected outputs that the graph defines, got {absent[:1]!r:.80}")


def _check_inputs(graph: GraphProto, limits: GraphLimits, inputs: int) -> None:
    held = {tensor.name for tensor in graph.initializer}
    images = [value for value in graph.input if value.name not in held]
    if len(images) != inputs:
        raise ValueError(f"expected {inputs} input(s), got {len(images)}")
    for value in images:
        kind = value.type.tensor_type
        dims = [dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim]
        where = f"input {value.name!r:.80}"
        if kind.elem_type != TensorProto.FLOAT:
            held_type = TensorProto.DataType.Name(kind.elem_type) if kind.elem_type in _TYPE_NUMBERS else "unknown"
            raise ValueError(
                f"{where}: expected float elements, got type {kind.elem_type} ({held_type}): "
                "export the network with an image of float32"
            )
        if len(dims) != 4 or dims[0] not in (None, 1) or dims[1] != 3:
            hint = ": its channels come last (--layout NHWC)" if len(dims) == 4 and dims[3] == 3 else ""
            raise ValueError(f"{where}: expected (batch, 3, height, width), got {dims!r:.80}{hint}")
        if any(n is None or not 1 <= n <= limits.side for n in dims[2:]):
            raise ValueError(
                f"{where}: expected fixed sides from 1 to {limits.side} pixels, got {dims!r:.80}: export with a fixed "
                "height and width, or set them (python -m onnxruntime.tools.make_dynamic_shape_fixed)"
            )

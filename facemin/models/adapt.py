"""Adaptation of imported graphs: single precision, channels first, one output."""

from __future__ import annotations

import numpy as np
from onnx import AttributeProto, ModelProto, TensorProto, helper, numpy_helper

from facemin.models.onnx.checks import HALVES, check_tensor, tensors


def single_precision(model: ModelProto) -> None:
    """Turn weights, casts, inputs and outputs of half precision (float16, bfloat16) into float32, in place.

    Raises:
        ValueError: a weight whose dimensions are not what it holds.
    """
    changed = False
    for tensor in tensors(model.graph):
        if tensor.data_type in HALVES and tensor.data_location == TensorProto.DEFAULT:
            check_tensor(tensor)
            array = np.asarray(numpy_helper.to_array(tensor)).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
            changed = True
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name in ("to", "dtype") and attribute.type == AttributeProto.INT and attribute.i in HALVES:
                attribute.i = TensorProto.FLOAT
                changed = True
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.elem_type in HALVES:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
            changed = True
    if changed:
        model.graph.ClearField("value_info")


def per_channel(model: ModelProto) -> None:
    """Take `spatial` 0 from batch normalisations with statistics per channel, as MXNet wrote it, in place.

    With vectors it means the same as 1, which is the default; onnxruntime refuses it.
    """
    ranks = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "BatchNormalization" and len(node.input) > 1 and ranks.get(node.input[1]) == 1:
            kept = [attribute for attribute in node.attribute if attribute.name != "spatial" or attribute.i != 0]
            if len(kept) < len(node.attribute):
                del node.attribute[:]
                node.attribute.extend(kept)


def take_output(model: ModelProto, name: str) -> None:
    """Leave one of a graph's outputs, and of its nodes and weights what that one needs, in place.

    Raises:
        ValueError: the graph has no such output.
    """
    graph = model.graph
    chosen = [value for value in graph.output if value.name == name]
    if not chosen:
        raise ValueError(f"expected an output among {[value.name for value in graph.output]!r:.400}, got {name!r:.80}")
    value = type(chosen[0])()
    value.CopyFrom(chosen[0])
    needed, nodes = {name}, []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            nodes.append(node)
    kept_nodes = [type(node).FromString(node.SerializeToString()) for node in nodes[::-1]]
    weights = [tensor.name for tensor in graph.initializer if tensor.name not in needed]
    for index in reversed([i for i, tensor in enumerate(graph.initializer) if tensor.name in {*weights}]):
        del graph.initializer[index]
    for index in reversed([i for i, each in enumerate(graph.input) if each.name in {*weights}]):
        del graph.input[index]
    for field in (graph.node, graph.output):
        del field[:]
    graph.node.extend(kept_nodes)
    graph.output.append(value)


def channels_first(model: ModelProto) -> None:
    """Let a graph that takes (batch, height, width, 3) take (batch, 3, height, width), in place.

    Raises:
        ValueError: it takes something else.
    """
    graph = model.graph
    held = {tensor.name for tensor in graph.initializer}
    images = [value for value in graph.input if value.name not in held]
    dims = [list(value.type.tensor_type.shape.dim) for value in images]
    if len(images) != 1 or len(dims[0]) != 4 or dims[0][3].dim_value != 3:
        sizes = [[dim.dim_value or dim.dim_param for dim in each] for each in dims]
        raise ValueError(f"layout NHWC: expected one input (batch, height, width, 3), got {sizes!r:.200}")
    name = images[0].name
    taken = held | {each for node in graph.node for each in (*node.input, *node.output)}
    image = name + ":channels_first"
    while image in taken:
        image += "'"
    batch, height, width, channels = ((dim.dim_value or dim.dim_param or None) for dim in dims[0])
    kind = images[0].type.tensor_type.elem_type
    images[0].CopyFrom(helper.make_tensor_value_info(image, kind, [batch, channels, height, width]))
    graph.node.insert(0, helper.make_node("Transpose", [image], [name], perm=[0, 2, 3, 1]))

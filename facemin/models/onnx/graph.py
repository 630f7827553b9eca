"""ONNX graphs of strangers: reading and cutting."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import TensorProto, helper

from facemin.models.adapt import channels_first, per_channel, single_precision, take_output
from facemin.models.onnx.analysis.known_graph import live_steps
from facemin.models.onnx.analysis.shapes import GraphShapes, graph_shapes
from facemin.models.onnx.checks import DEFAULT_DOMAINS, check_model
from facemin.models.onnx.external import has_external, take_in
from facemin.models.onnx.limits import GraphLimits
from facemin.models.onnx.protobuf_limits import check_fields
from facemin.models.preprocess import Preprocess, prepend_preprocessing
from facemin.runtime.errors import InvalidModel, told_as
from facemin.runtime.files import read_at_most

__all__ = ["Bottleneck", "GraphLimits", "Preprocess", "bottlenecks", "extract", "prepend_preprocessing", "read_graph"]

TRUSTED = GraphLimits()


class Bottleneck(NamedTuple):
    """A value through which everything from the image to the output flows: a place to cut.

    Args:
        name: the value's name in the graph.
        shape: its shape for one image, without the batch.
        parameters: weights up to there.
        macs: multiply-accumulates up to there, for one image.
        share: those, as a fraction of the whole graph's.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    macs: int
    share: float


@told_as(InvalidModel)
def read_graph(
    source: bytes | Path,
    *,
    name: str | None = None,
    limits: GraphLimits = TRUSTED,
    inputs: int = 1,
    layout: str = "NCHW",
    output: str | None = None,
) -> onnx.ModelProto:
    """Read an ONNX model from a stranger, or refuse it.

    Weights of half precision become float32. External data beside the file of a path are read with it.

    Args:
        source: the file's bytes, or its path.
        name: what to call it in errors; the file's name where left out.
        limits: how large it may be.
        inputs: how many images (batch,3,H,W) the graph takes.
        layout: "NHWC" where it takes (batch,H,W,3); what is returned takes (batch,3,H,W).
        output: the one output to keep; all where None.

    Raises:
        ValueError: it is not ONNX, is too large, holds what facemin does not run, or does not fit together.
        OSError: the path cannot be read.
    """
    label = name or (source.name if isinstance(source, Path) else "graph")
    try:
        data = read_at_most(source, limits.bytes)
        check_fields(data, limits=limits)
        model: onnx.ModelProto = onnx.ModelProto.FromString(data)
        del data
        if isinstance(source, Path) and has_external(model):
            take_in(model, source.parent, limits=limits)
        if output is not None:
            take_output(model, output)
        if layout != "NCHW":
            channels_first(model)
        single_precision(model)
        per_channel(model)
        check_model(model, limits=limits, inputs=inputs)
        graph_shapes(model, limits=limits)
    except UnicodeError as error:
        raise ValueError(f"{label}: expected names in UTF-8") from error
    except DecodeError as error:
        raise ValueError(f"{label}: expected an ONNX file, got bytes that do not parse as one") from error
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from error
    return model


def extract(
    model: onnx.ModelProto,
    *,
    start: str | None = None,
    end: str,
    layers: tuple[str, ...] = (),
    limits: GraphLimits = TRUSTED,
) -> onnx.ModelProto:
    """The part of a graph from one value to another, with the weights that it needs and no metadata.

    Args:
        model: a graph that `read_graph` accepted.
        start: the value it takes; the graph's input where None.
        end: the value it gives.
        layers: values on the way that it gives too, before `end`.
        limits: how large it may be.

    Raises:
        ValueError: a name that the graph does not have, an `end` that depends on more than `start`, or a layer that
            does not lie between them.
    """
    plan = graph_shapes(model, limits=limits)
    start = plan.inputs[0] if start is None else start
    for value in (start, *layers, end):
        if value not in plan.shapes or value in plan.inner:
            raise ValueError(f"expected a value that the graph computes from its image, got {value!r:.80}")
    if start == end:
        raise ValueError(f"expected two different values, got {start!r:.80} twice")
    nodes, needed = [], {end}
    for node in reversed(model.graph.node):
        if needed.intersection(node.output) and start not in node.output:
            held = [n for n in node.output if n in plan.constants]
            if len(held) == len(node.output):
                continue
            needed.update(name for name in node.input if name)
            nodes.append(node)
    foreign = sorted(needed.intersection(plan.inputs) - {start})
    if foreign or start not in needed:
        raise ValueError(f"{end!r:.80} does not depend on {start!r:.80} alone, but on {foreign or 'neither'}")
    made = {name for node in nodes for name in node.output}
    outside = [layer for layer in layers if layer not in made or layer == end]
    if outside or len({*layers}) < len(layers):
        raise ValueError(f"expected layers between {start!r:.80} and {end!r:.80}, each once, got {list(layers)!r:.200}")
    return _assemble(model, plan, nodes[::-1], needed, start, (*layers, end))


def _assemble(
    model: onnx.ModelProto,
    plan: GraphShapes,
    nodes: list[onnx.NodeProto],
    needed: set[str],
    start: str,
    ends: tuple[str, ...],
) -> onnx.ModelProto:
    made = {name for node in nodes for name in node.output}
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    graph = onnx.GraphProto(name="facemin")
    graph.node.extend(nodes)
    for node in graph.node:
        node.doc_string = ""
        node.ClearField("metadata_props")
    for name in sorted(needed - made - {start}):
        if name in held:
            graph.initializer.add().CopyFrom(held[name])
        else:
            graph.initializer.append(_constant(plan, nodes, name))
    for tensor in graph.initializer:
        tensor.doc_string = ""
    for name, side in ((start, graph.input), *((end, graph.output) for end in ends)):
        dims: list[str | int | None] = ["batch", *plan.shapes[name][1:]]
        side.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, dims))
    opsets = [o for o in model.opset_import if o.domain in DEFAULT_DOMAINS]
    return onnx.ModelProto(ir_version=model.ir_version, opset_import=opsets, producer_name="facemin", graph=graph)


def _constant(plan: GraphShapes, nodes: Iterable[onnx.NodeProto], name: str) -> TensorProto:
    """A constant that the cut-off part computed; a shape's leading batch of one becomes `copy the input's`."""
    elements = plan.constants[name]
    users = [node for node in nodes if name in node.input]
    shape = all(node.op_type == "Reshape" and list(node.input).index(name) == 1 for node in users)
    shape = shape and not any(node.input[0] in plan.inner for node in users)
    if users and shape and elements.size and int(elements[0]) == 1:
        elements = elements.copy()
        elements[0] = 0
    return onnx.numpy_helper.from_array(np.asarray(elements, order="C"), name)


def bottlenecks(
    model: onnx.ModelProto, *, output: str | None = None, limits: GraphLimits = TRUSTED
) -> list[Bottleneck]:
    """Every value through which all information from the image to an output flows, in order.

    Args:
        model: a graph that `read_graph` accepted.
        output: the output meant; the first where None. It comes last in the list.
        limits: how large the graph may be.
    """
    plan = graph_shapes(model, limits=limits)
    output = plan.outputs[0] if output is None else output
    if output not in plan.shapes or output in plan.inner:
        raise ValueError(f"expected an output that depends on the image, got {output!r:.80}")
    steps = live_steps(plan.steps, (output,))
    order = {name: i for i, name in enumerate((*plan.inputs, *(name for s in steps for name in s.outputs)))}
    last = dict.fromkeys(order, 0)
    for step in steps:
        for name in step.inputs:
            if name in order:
                last[name] = max(last[name], *(order[o] for o in step.outputs))
    total = sum(plan.macs[step.outputs[0]] for step in steps)
    weights = _Weights(model)
    found, macs = [], 0
    reach = max(last[name] for name in plan.inputs)
    for step in steps:
        macs += plan.macs[step.outputs[0]]
        weights.use(step.outputs[0])
        for name in step.outputs:
            if reach <= order[name] and (last[name] or name == output) and name not in plan.inner:
                found.append(Bottleneck(name, plan.shapes[name][1:], weights.counted, macs, macs / max(total, 1)))
            reach = max(reach, last[name])
    return found


class _Weights:
    """How many weights the nodes used so far hold, each counted once."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.sizes = {t.name: _size(t) for t in model.graph.initializer if t.data_type == TensorProto.FLOAT}
        self.makers = {name: node for node in model.graph.node for name in node.output}
        self.counted = 0

    def use(self, name: str) -> None:
        waiting = [name]
        while waiting:
            current = waiting.pop()
            self.counted += self.sizes.pop(current, 0)
            node = self.makers.pop(current, None)
            waiting.extend(node.input if node is not None else ())


def _size(tensor: TensorProto) -> int:
    size = 1
    for n in tensor.dims:
        size *= n
    return size

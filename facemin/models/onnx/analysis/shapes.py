"""Static shape, cost and batch axis of every value of a graph, before anything of it is run.

ONNX's own inference says what each node gives at a batch of one; what has no fixed shape then is refused. Limits hold
before memory is spent: only constants of few elements are computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.checker import ValidationError
from onnx.defs import SchemaError
from onnx.shape_inference import InferenceError, infer_node_outputs

from facemin.models.onnx.analysis.batch_axis import batch_axis
from facemin.models.onnx.analysis.cost import LONGEST_RANGE, taps
from facemin.models.onnx.analysis.known_graph import GraphStep, KnownGraph, image_shape, used_outputs
from facemin.models.onnx.analysis.static_value import FLOATS, StaticNode, StaticValue, attributes_of, finite
from facemin.models.onnx.attributes import LONGEST_STATIC
from facemin.models.onnx.operators import ALLOWED, CONSTANTS, IMAGES_ONLY, MIXING, WEIGHTED

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import NodeProto

    from facemin.models.onnx.limits import GraphLimits

KINDS = frozenset({TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL})
LARGEST_STATIC = 1 << 31
"""A size, repetition or border beyond it is refused before it can overflow."""

INDEXED = frozenset({"Expand", "Gather", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Unsqueeze", "Dropout"})
"""Operators of whose inputs the first alone is a value; the others are settings."""

NOT_FOLDED = IMAGES_ONLY | {"Einsum", "Gemm", "MatMul"}
"""What is not computed before a run, even of constants."""

_ERRORS = (
    InferenceError,
    SchemaError,
    ValidationError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What ONNX's inference and its reference runtime raise for a node that is not sound."""


@dataclass(frozen=True, kw_only=True)
class GraphShapes(KnownGraph):
    """A graph whose shapes are known.

    Args:
        steps: the nodes that depend on the images, in order.
        constants: elements of constants that are few, by name.
        batches: whether any number of images may run at once; else what is written in the graph is for one.
    """

    steps: list[GraphStep]
    constants: dict[str, NDArray[Any]]
    batches: bool


def graph_shapes(model: onnx.ModelProto, *, limits: GraphLimits) -> GraphShapes:
    """Shapes, cost and batch axis of a graph.

    Args:
        model: a graph whose names and tensors are sound: see `checks.check_model`.
        limits: what its values may take.

    Raises:
        ValueError: a node that is not supported, mixes images, has no fixed shape or exceeds a limit; the text names
            the node.
    """
    return _Walk(model, limits).shapes()


class _Walk:
    def __init__(self, model: onnx.ModelProto, limits: GraphLimits) -> None:
        self.graph, self.limits = model.graph, limits
        self.opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
        self.imports = [helper.make_opsetid("", self.opset)]
        self.ir_version = model.ir_version
        self.values: dict[str, StaticValue] = {}
        self.steps: list[GraphStep] = []
        self.macs: dict[str, int] = {}
        self.elements = self.work = 0
        self.for_one = False
        self.given = {value.name for value in self.graph.output}
        self.used = self.given | {name for node in self.graph.node for name in node.input}
        self.held = {tensor.name: tensor for tensor in self.graph.initializer}

    def shapes(self) -> GraphShapes:
        for tensor in self.graph.initializer:
            self.values[tensor.name] = _of_tensor(tensor)
        images = [value for value in self.graph.input if value.name not in self.values]
        for image in images:
            self.values[image.name] = StaticValue(
                shape=image_shape(image), kind=TensorProto.FLOAT, batched=True, place=0
            )
        for index, node in enumerate(self.graph.node):
            try:
                self._step(node)
            except _ERRORS as error:
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise ValueError(f"node {index} ({node.op_type!r:.40}, {node.name!r:.80}): {reason}") from error
        batched = {name: value for name, value in self.values.items() if value.batched}
        inner = frozenset(name for name, value in batched.items() if value.place != 0)
        return GraphShapes(
            inputs=tuple(image.name for image in images),
            outputs=tuple(value.name for value in self.graph.output),
            steps=self.steps,
            constants={name: v.elements for name, v in self.values.items() if v.elements is not None},
            shapes={name: value.shape for name, value in batched.items()},
            macs=self.macs,
            inner=inner,
            batches=not inner and not self.for_one,
        )

    def _step(self, proto: NodeProto) -> None:
        if proto.op_type not in ALLOWED:
            raise ValueError("the operator is not among those facemin runs")
        names = used_outputs(proto, self.used)
        node = StaticNode(
            op=proto.op_type,
            opset=self.opset,
            inputs=tuple(self.values[name] if name else None for name in proto.input),
            attributes=attributes_of(proto),
            outputs=len(names),
        )
        self._check_static(node)
        if proto.op_type == "BatchNormalization":
            self._check_variance(proto)
        kinds, results = self._inferred(proto, node, names)
        each = taps(node, results[0])
        self._spend(results, each)
        batched = bool(node.batched) and node.op not in CONSTANTS
        if not batched:
            self._keep_constants(proto, node, names, kinds, results)
            return
        place = batch_axis(node, results[0])
        # a first dimension in numbers holds for one image, and may take others' numbers in
        self.for_one |= node.op == "Reshape" and node.integers(1)[:1] not in ([-1], [0])
        if place is None and results[0][:1] == (1,):
            # merged with another axis before, it is whole again
            place = 0
        for name, kind, shape in zip(names, kinds, results, strict=True):
            self._check_result(name, shape, place)
            self.values[name] = StaticValue(shape=shape, kind=kind, batched=True, place=place)
        self.steps.append(GraphStep(node.op, tuple(name for name in proto.input if name), tuple(names)))
        self.macs[names[0]] = prod(results[0]) * each if node.op in WEIGHTED else 0

    def _check_static(self, node: StaticNode) -> None:
        for index, value in enumerate(node.inputs):
            if value is None:
                continue
            setting = node.op in INDEXED and index > 0
            if setting and value.batched:
                raise ValueError(f"expected input number {index + 1} to be a constant, not computed from the image")
            if value.elements is not None and node.op != "Slice" and value.kind == TensorProto.INT64:
                most = int(np.abs(value.elements.astype(np.float64)).max(initial=0))
                if most > LARGEST_STATIC and (setting or node.op in CONSTANTS or node.op in IMAGES_ONLY):
                    raise ValueError(f"expected numbers of at most {LARGEST_STATIC}, got {most}")
            if node.batched and not setting and node.op not in MIXING and node.op not in CONSTANTS:
                self._check_floats(node, index, value)

    def _check_floats(self, node: StaticNode, index: int, value: StaticValue) -> None:
        exponent = node.op == "Pow" and index == 1
        settings = (node.op.startswith("Reduce") or node.op in ("Resize", "Upsample", "Clip")) and index > 0
        if value.kind not in FLOATS and not exponent and not settings:
            raise ValueError(f"expected floats beside the image, got {TensorProto.DataType.Name(value.kind)}")

    def _check_variance(self, proto: NodeProto) -> None:
        tensor = self.held.get(proto.input[4]) if len(proto.input) > 4 else None
        if tensor is not None and tensor.data_type in FLOATS:
            epsilon = next((a.f for a in proto.attribute if a.name == "epsilon"), 1e-5)
            if float(numpy_helper.to_array(tensor).min(initial=np.inf)) + epsilon <= 0:
                raise ValueError("a constant computed from the weights is not finite: a variance is below 0")

    def _inferred(
        self, proto: NodeProto, node: StaticNode, names: list[str]
    ) -> tuple[list[int], list[tuple[int, ...]]]:
        """Element types and shapes of a node's results."""
        if node.op == "GroupNormalization":
            # ONNX deprecated the first form of it, which some files have
            x = node.value(0)
            return [x.kind], [x.shape]
        given = [name for name in proto.input if name]
        types = {name: helper.make_tensor_type_proto(self.values[name].kind, self.values[name].shape) for name in given}
        data = {
            name: numpy_helper.from_array(elements, name)
            for name in given
            if (elements := self.values[name].elements) is not None
        }
        schema = onnx.defs.get_schema(node.op, self.opset, "")
        made = infer_node_outputs(schema, proto, types, data, opset_imports=self.imports, ir_version=self.ir_version)
        kinds, shapes = [], []
        for name in names:
            kind = made[name].tensor_type
            dims = [dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim]
            fixed = tuple(n for n in dims if n is not None and n >= 0)
            if not kind.HasField("shape") or len(fixed) != len(dims):
                raise ValueError(f"expected a result of fixed shape, got {dims}: it depends on the image's content")
            if kind.elem_type not in KINDS:
                raise ValueError(f"expected float, double, int32, int64 or bool, got type {kind.elem_type}")
            kinds.append(kind.elem_type)
            shapes.append(fixed)
        return kinds, shapes

    def _spend(self, results: list[tuple[int, ...]], each: int) -> None:
        sizes = [prod(shape) for shape in results]
        self.elements += sum(sizes)
        self.work += sum(sizes) * each
        if max(sizes) > self.limits.elements:
            raise ValueError(f"expected values of at most {self.limits.elements} elements, got {max(sizes)}")
        if self.elements > self.limits.total_elements or self.work > self.limits.work:
            raise ValueError(
                f"the graph takes more than {self.limits.total_elements} elements or {self.limits.work} operations"
            )

    def _check_result(self, name: str, shape: tuple[int, ...], place: int | None) -> None:
        if 0 in shape:
            raise ValueError(f"the result, {shape} at a batch of one, is empty: it has lost its rows")
        if place is not None and (place >= len(shape) or shape[place] != 1):
            raise ValueError(f"the result, {shape} at a batch of one, has lost its rows")
        if name in self.given and place != 0:
            raise ValueError(f"the batch axis is not the first of the graph's output {name!r:.80}")

    def _keep_constants(
        self,
        proto: NodeProto,
        node: StaticNode,
        names: list[str],
        kinds: list[int],
        results: list[tuple[int, ...]],
    ) -> None:
        few = all(prod(shape) <= LONGEST_STATIC for shape in results)
        elements: list[NDArray[Any] | None] = [None] * len(names)
        if few:
            elements = self._computed(proto, node, names)
        elif node.op == "Range" and max(map(prod, results)) > LONGEST_RANGE:
            raise ValueError(f"expected a range of at most {LONGEST_RANGE} numbers, got {results[0]}")
        for name, kind, shape, made in zip(names, kinds, results, elements, strict=True):
            if made is not None and not finite(made):
                raise ValueError("a constant computed from the weights is not finite")
            self.values[name] = StaticValue(shape=shape, kind=kind, elements=made)

    def _computed(self, proto: NodeProto, node: StaticNode, names: list[str]) -> list[NDArray[Any] | None]:
        """The elements of a node's results, where it has few and its inputs are known."""
        if node.op in ("Shape", "Size"):
            shape = node.value(0).shape
            part = shape[node.integer("start", 0) : node.attributes.get("end", None)]
            return [np.array(part if node.op == "Shape" else prod(shape), np.int64)]
        if node.op in NOT_FOLDED or any(value is not None and value.elements is None for value in node.inputs):
            return [None] * len(names)
        # an import of a second, which most graphs do without
        from onnx.reference import ReferenceEvaluator

        given = {name: self.values[name] for name in proto.input if name}
        graph = helper.make_graph(
            [proto],
            "constant",
            [helper.make_tensor_value_info(name, value.kind, value.shape) for name, value in given.items()],
            [onnx.ValueInfoProto(name=name) for name in names],
        )
        single = helper.make_model(graph, opset_imports=self.imports)
        with np.errstate(all="ignore"):
            made = ReferenceEvaluator(single).run(None, {name: value.elements for name, value in given.items()})
        return [np.asarray(each) for each in made]


def _of_tensor(tensor: TensorProto) -> StaticValue:
    few = prod(tensor.dims) <= LONGEST_STATIC
    return StaticValue(
        shape=tuple(tensor.dims),
        kind=tensor.data_type,
        elements=np.array(numpy_helper.to_array(tensor)) if few else None,
    )

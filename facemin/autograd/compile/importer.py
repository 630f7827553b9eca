"""Walking an ONNX graph once: every step made ready, every shape known, every constant computed.

Steps are tried on tensors without memory before anything is computed, so limits hold before memory is spent.
"""

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import onnx
import torch
from onnx import AttributeProto, NodeProto, TensorProto, numpy_helper
from torch import Tensor

from facemin.autograd.operator_api import KEPT, BatchMovedError, Lowered, Node, Run, Value
from facemin.autograd.operators import OPERATORS
from facemin.autograd.operators.shape import TYPES
from facemin.models.onnx.analysis.known_graph import GraphStep, KnownGraph, image_shape, used_outputs
from facemin.models.onnx.attributes import LONGEST_STATIC
from facemin.models.onnx.limits import GraphLimits
from facemin.models.onnx.operators import IMAGES_ONLY, MIXING, WEIGHTED

PROBE_ROWS = 2


@dataclass(frozen=True)
class Step(GraphStep):
    """One call of the prepared graph: `run` on the values named `inputs` gives those named `outputs`."""

    run: Run


@dataclass(frozen=True, kw_only=True)
class Plan(KnownGraph):
    """A graph ready to run.

    Args:
        steps: what depends on the images, in order.
        constants: everything else that steps need, by name.
    """

    steps: list[Step]
    constants: dict[str, Tensor]


def read_tensor(tensor: TensorProto, *, elements: bool = True) -> Tensor:
    """An ONNX tensor as torch's; without its elements (on the meta device) where only its shape matters."""
    dtype = TYPES.get(tensor.data_type)
    if dtype is None:
        raise ValueError(f"tensor {tensor.name!r} has the unsupported element type {tensor.data_type}")
    if not elements:
        return torch.empty(tuple(tensor.dims), dtype=dtype, device="meta")
    return torch.from_numpy(np.array(numpy_helper.to_array(tensor))).to(dtype)


def attribute_value(attribute: AttributeProto, *, elements: bool = True) -> Any:
    """An attribute as a Python value. Raises ValueError for subgraphs, types and sparse tensors."""
    kind = attribute.type
    if kind == AttributeProto.TENSOR:
        size = prod(attribute.t.dims)
        return read_tensor(attribute.t, elements=elements or size <= LONGEST_STATIC)
    plain = {AttributeProto.INT: "i", AttributeProto.FLOAT: "f", AttributeProto.INTS: "ints"}
    plain[AttributeProto.FLOATS] = "floats"
    if kind in plain:
        found = getattr(attribute, plain[kind])
        if kind in (AttributeProto.FLOAT, AttributeProto.FLOATS) and np.isnan(found).any():
            raise ValueError(f"expected a number in attribute {attribute.name!r:.80}, got NaN")
        return found if isinstance(found, int | float) else list(found)
    if kind == AttributeProto.STRING:
        return attribute.s.decode("utf-8", errors="replace")
    raise ValueError(f"attribute {attribute.name!r:.80} has a type that is not allowed here")


def trace(model: onnx.ModelProto, *, limits: GraphLimits, weights: bool = True) -> Plan:
    """Prepare every node of a graph.

    Args:
        model: a graph whose names are sound: see `checks.check_model`.
        limits: what its values may take.
        weights: read the weights; without them the plan knows shapes and cost only, and cannot run.

    Raises:
        ValueError: a node that is not supported or exceeds a limit; the text names the node.
    """
    return _Tracer(model, limits, weights).plan()


class _Tracer:
    def __init__(self, model: onnx.ModelProto, limits: GraphLimits, weights: bool) -> None:
        self.graph, self.limits, self.weights = model.graph, limits, weights
        self.opset = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
        self.values: dict[str, Value] = {}
        self.renamed: dict[str, str] = {}
        self.steps: list[Step] = []
        self.constants: dict[str, Tensor] = {}
        self.macs: dict[str, int] = {}
        self.elements = self.work = 0
        self.inner: set[str] = set()
        self.names = {tensor.name for tensor in self.graph.initializer}
        self.names |= {name for node in self.graph.node for name in (*node.input, *node.output)}
        self.names |= {value.name for value in self.graph.input}
        self.used = {name for node in self.graph.node for name in node.input}
        self.given = {value.name for value in self.graph.output}
        self.used |= self.given

    def plan(self) -> Plan:
        for tensor in self.graph.initializer:
            full = self.weights or prod(tensor.dims) <= LONGEST_STATIC
            self._keep(tensor.name, read_tensor(tensor, elements=full))
        images = [value for value in self.graph.input if value.name not in self.values]
        for image in images:
            self.values[image.name] = Value(shape=image_shape(image), dtype=torch.float32)
        for index, node in enumerate(self.graph.node):
            try:
                self._step(index, node)
            except (RuntimeError, IndexError, TypeError, OverflowError, AttributeError, ValueError) as error:
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise ValueError(f"node {index} ({node.op_type!r:.40}, {node.name!r:.80}): {reason}") from error
        return Plan(
            inputs=tuple(image.name for image in images),
            outputs=tuple(value.name for value in self.graph.output),
            steps=self.steps,
            constants=self.constants,
            shapes={name: value.shape for name, value in self.values.items() if value.batched},
            macs=self.macs,
            inner=frozenset(self.inner),
        )

    def _keep(self, name: str, tensor: Tensor) -> None:
        self.constants[name] = tensor
        self.values[name] = Value(shape=tuple(tensor.shape), dtype=tensor.dtype, constant=tensor)

    def _fresh(self, name: str) -> str:
        """A name like this one that the file has not, whatever the file calls its values."""
        while name in self.names:
            name += "'"
        self.names.add(name)
        return name

    def _step(self, index: int, proto: NodeProto) -> None:
        build = OPERATORS.get(proto.op_type)
        if build is None:
            raise ValueError("the operator is not among those facemin runs")
        attributes = {a.name: attribute_value(a, elements=self.weights) for a in proto.attribute}
        given, outputs = list(proto.input), used_outputs(proto, self.used)
        lifted = any(self.values[name].lifted for name in given if name)
        if lifted:
            given = [self._lifted(proto.op_type, name) for name in given]
        node = Node(
            op=proto.op_type,
            opset=self.opset,
            attributes=attributes,
            inputs=tuple(self.values[name] if name else None for name in given),
            outputs=len(outputs),
        )
        try:
            lowered = build(node)
        except BatchMovedError:
            given = [self._lifted(proto.op_type, name) for name in given]
            node = replace(node, inputs=tuple(self.values[name] if name else None for name in given))
            lowered = build(node)
        names = []
        for place, source in enumerate(lowered.inputs):
            if isinstance(source, Tensor):
                names.append(self._fresh(f"{index}:{place}:{outputs[0]}"))
                self._check_finite(source)
                self._keep(names[-1], source)
            else:
                self._check_type(node, node.value(source))
                names.append(given[source])
        self._emit(proto, lowered, names, outputs)

    def _lifted(self, op: str, name: str) -> str:
        """The name of a value with its rows before all of the file's axes."""
        value = self.values.get(name)
        if value is None or not value.batched or value.lifted:
            return name
        if op in IMAGES_ONLY:
            raise ValueError("the operator does not run on a value whose batch axis is not the first")
        made = self._fresh(f"{name}:lifted")
        self.values[made] = Value(shape=(1, *value.shape), dtype=value.dtype, lifted=True, place=0)
        self._view(made, lift_rows, name)
        return made

    def _view(self, name: str, run: Run, source: str) -> None:
        self.steps.append(Step("Reshape", (source,), (name,), run))
        self.macs[name] = 0
        self.inner.update(each for each in (name, source) if self.values[each].lifted)

    def _check_type(self, node: Node, value: Value) -> None:
        among_images = any(given is not None and given.batched for given in node.inputs)
        if among_images and not value.dtype.is_floating_point and node.op not in MIXING:
            raise ValueError(f"expected floats beside the image, got {value.dtype}")

    def _emit(self, proto: NodeProto, lowered: Lowered, names: list[str], outputs: list[str]) -> None:
        inputs = [self.values[name] for name in names]
        batched = any(value.batched for value in inputs)
        tried = _as_tuple(lowered.run(*[_probe(value) for value in inputs]))
        size = sum(t.numel() for t in tried) // (PROBE_ROWS if batched else 1)
        self.elements += size
        self.work += size * lowered.taps
        if max(t.numel() for t in tried) > self.limits.elements * (PROBE_ROWS if batched else 1):
            raise ValueError(f"expected values of at most {self.limits.elements} elements, got {size}")
        if self.elements > self.limits.total_elements or self.work > self.limits.work:
            raise ValueError(
                f"the graph takes more than {self.limits.total_elements} elements or {self.limits.work} operations"
            )
        if not batched:
            ready = all(not self.constants[name].is_meta for name in names)
            made = _as_tuple(lowered.run(*[self.constants[name] for name in names])) if ready else tried
            for name, tensor in zip(outputs, made, strict=True):
                self._check_finite(tensor)
                self._keep(name, tensor)
            return
        for tensor in tried:
            if tensor.dim() < 1 or tensor.shape[0] != PROBE_ROWS or tensor.numel() == 0:
                raise ValueError(f"the result, {tuple(tensor.shape)} at a batch of {PROBE_ROWS}, has lost its rows")
        if not any(value.lifted for value in inputs):
            for name, tensor in zip(outputs, tried, strict=True):
                self.values[name] = Value(shape=(1, *tensor.shape[1:]), dtype=tensor.dtype)
            self._add(proto, lowered, names, outputs, size)
            return
        self._emit_lifted(proto, lowered, names, outputs, tried, size)

    def _emit_lifted(
        self,
        proto: NodeProto,
        lowered: Lowered,
        names: list[str],
        outputs: list[str],
        tried: tuple[Tensor, ...],
        size: int,
    ) -> None:
        """Results whose rows come before all of the file's axes; without that where its batch axis is the first."""
        place = lowered.place if lowered.place != KEPT else _common_place([self.values[name] for name in names])
        held = []
        for name, tensor in zip(outputs, tried, strict=True):
            first = place in (0, None) and tensor.shape[1:2] == (1,)
            if not first and name in self.given:
                raise ValueError(f"the batch axis is not the first of the graph's output {name!r:.80}")
            held.append(self._fresh(f"{name}:lifted") if first else name)
            self.values[held[-1]] = Value(
                shape=(1, *tensor.shape[1:]), dtype=tensor.dtype, lifted=True, place=0 if first else place
            )
        self._add(proto, lowered, names, held, size)
        for name, inner, tensor in zip(outputs, held, tried, strict=True):
            self.inner.add(inner)
            if name != inner:
                self.values[name] = Value(shape=(1, *tensor.shape[2:]), dtype=tensor.dtype)
                self._view(name, lower_rows, inner)

    def _add(self, proto: NodeProto, lowered: Lowered, names: list[str], outputs: list[str], size: int) -> None:
        self.steps.append(Step(proto.op_type, tuple(names), tuple(outputs), lowered.run))
        self.macs[outputs[0]] = size * lowered.taps if proto.op_type in WEIGHTED else 0

    def _check_finite(self, tensor: Tensor) -> None:
        if tensor.is_meta or not tensor.is_floating_point() or tensor.numel() == 0:
            return
        low, high = torch.aminmax(tensor)
        if not (torch.isfinite(low) and torch.isfinite(high)):
            raise ValueError("a constant computed from the weights is not finite")


def lift_rows(x: Tensor) -> Tensor:
    """(B,...) -> (B,1,...): the file's own batch axis beside the rows."""
    return x.unsqueeze(1)


def lower_rows(x: Tensor) -> Tensor:
    """(B,1,...) -> (B,...)."""
    return x.squeeze(1)


def _common_place(values: list[Value]) -> int | None:
    """Where the batch axis of what is computed element by element, or row by row, lies."""
    lifted = [value for value in values if value.lifted]
    if len({value.rank for value in lifted}) > 1:
        raise ValueError(f"values of different axes, {[value.written for value in lifted]}, would move the batch axis")
    places = {value.place for value in lifted if value.place is not None}
    if len(places) > 1:
        raise ValueError(f"batch axes {sorted(places)} meet, so images would not be independent of each other")
    return places.pop() if places else None


def _probe(value: Value) -> Tensor:
    """A tensor of the value's shape without memory; two rows of it where it depends on the image."""
    shape = (PROBE_ROWS, *value.shape[1:]) if value.batched else value.shape
    return torch.empty(shape, dtype=value.dtype, device="meta")


def _as_tuple(result: Any) -> tuple[Tensor, ...]:
    return (result,) if isinstance(result, Tensor) else tuple(result)

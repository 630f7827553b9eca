"""An ONNX graph as a differentiable torch module."""

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple, Self

import onnx
import torch
from torch import Tensor, nn

from facemin.autograd.compile.fused import fuse, pack, packable, packs
from facemin.autograd.compile.importer import Plan, trace
from facemin.autograd.compile.in_place import in_place
from facemin.autograd.compile.simplify import simplify
from facemin.autograd.operator_api import Run
from facemin.autograd.operators.conv import Conv
from facemin.models.onnx.limits import GraphLimits

TRUSTED = GraphLimits()

PACKED_ROWS = 8
"""Rows of the batch that weights are laid out for; any other batch runs on them too."""

LARGEST_VALUE = 16 << 20
"""Bytes of the largest value while no gradient is kept: rows run in groups.

Measured on one core with 16 faces: groups of 8 take the least time, or within 2 % of it, on each of six small
recognisers. Fewer rows spend more on starting operators; more rows spend more on fetching what caches have lost.
"""


class _Call(NamedTuple):
    """One step on numbered values: which it takes, which it gives, which are not needed any more."""

    run: Run
    arguments: tuple[int, ...]
    results: tuple[int, ...]
    done: tuple[int, ...]


class OnnxModule(nn.Module):
    """A graph that `graph.read_graph` accepted, as a flat list of steps: (B,C,H,W) float -> its last output.

    Differentiable with respect to the image; the weights are constants. Rows are independent of each other, and
    any batch runs, whatever the file says. There is nothing to train: `train()` changes nothing.

    Args:
        model: the graph, or a part of one.
        outputs: names of the outputs to give; the graph's first alone where None.
        limits: how large it may be.

    Attributes:
        input_shapes: shape of each image it takes, without the batch.
        output_shapes: shape of each output, without the batch.

    Raises:
        ValueError: an unknown output, or a graph that `read_graph` would have refused.
    """

    def __init__(
        self, model: onnx.ModelProto, *, outputs: tuple[str, ...] | None = None, limits: GraphLimits = TRUSTED
    ) -> None:
        super().__init__()
        plan = trace(model, limits=limits)
        outputs = plan.outputs[:1] if outputs is None else outputs
        absent = [name for name in outputs if name not in plan.outputs or name not in plan.shapes or name in plan.inner]
        if absent or not outputs:
            raise ValueError(
                f"expected outputs among {list(plan.outputs)} that images change, a row for each, got {absent}"
            )
        plan = simplify(plan, outputs)
        self.input_shapes = tuple(plan.shapes[name][1:] for name in plan.inputs)
        self.output_shapes = tuple(plan.shapes[name][1:] for name in outputs)
        self._convolves = any(isinstance(step.run, Conv) for step in plan.steps)
        self._row_elements = max(prod(plan.shapes[name]) for step in plan.steps for name in step.outputs)
        slots: dict[str, int] = {name: i for i, name in enumerate(plan.inputs)}
        for number, (name, tensor) in enumerate(plan.constants.items()):
            slots[name] = len(slots)
            self.register_buffer(f"constant_{number}", tensor)
        for step in plan.steps:
            for name in step.outputs:
                slots[name] = len(slots)
        self._calls = _numbered(plan, slots)
        plan = in_place(fuse(plan))
        self._calls_in_place = _numbered(plan, slots)
        self._packable = {slots[item.name]: item for item in packable(plan)}
        self._packed: list[Tensor] | None = None
        self._outputs, self._slots = tuple(slots[name] for name in outputs), len(slots)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the last output, without the batch."""
        return self.output_shapes[-1]

    def forward(self, *images: Tensor) -> Tensor:
        """One or more (B,C,H,W), in the graph's own range -> the last output, (B,...).

        Raises:
            ValueError: as for `layers`.
        """
        return self.layers(*images)[-1]

    def layers(self, *images: Tensor) -> tuple[Tensor, ...]:
        """The same, with every output, (B,...) each.

        Raises:
            ValueError: another number of images, or another shape than the graph's.
        """
        if len(images) != len(self.input_shapes):
            raise ValueError(f"expected {len(self.input_shapes)} image batch(es), got {len(images)}")
        for image, shape in zip(images, self.input_shapes, strict=True):
            if tuple(image.shape[1:]) != shape or image.shape[0] != images[0].shape[0]:
                raise ValueError(f"expected images of shape (batch, {shape}), got {tuple(image.shape)}")
        if torch.is_grad_enabled() and any(image.requires_grad for image in images):
            return self._run(self._calls, images, self._constants())
        # A fused activation turns NaN into a number; the result of an image with NaN in it has to show it.
        if images[0].device.type == "cpu" and not all(image.sum().isfinite() for image in images):
            return self._run(self._calls, images, self._constants())
        held = self._held(images[0])
        rows = max(LARGEST_VALUE // (self._row_elements * images[0].element_size()), 1)
        if images[0].device.type != "cpu" or images[0].shape[0] <= rows:
            return self._run(self._calls_in_place, images, held)
        # Never a group of one, whose last bits may differ from those of the same row among others.
        groups = max(min(-(-images[0].shape[0] // rows), images[0].shape[0] // 2), 1)
        parts = zip(*(image.tensor_split(groups) for image in images), strict=True)
        made = zip(*(self._run(self._calls_in_place, part, held) for part in parts), strict=True)
        return tuple(torch.cat(rows) for rows in made)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the packed weights, which belong to this processor and this process."""
        return {**self.__dict__, "_packed": None}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self._packed = None
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _load_from_state_dict(self, *arguments: Any, **options: Any) -> None:
        self._packed = None
        super()._load_from_state_dict(*arguments, **options)

    def _constants(self) -> list[Tensor]:
        """Every constant by its slot; `buffers()` would leave out one that stands under two names."""
        return [tensor for tensor in self._buffers.values() if tensor is not None]

    def _held(self, image: Tensor) -> list[Tensor]:
        """The constants, the small weights among them as fused convolutions run fastest on them."""
        held = self._constants()
        if not self._packable or not packs(image):
            return held
        if self._packed is None:
            first = len(self.input_shapes)
            for slot, item in self._packable.items():
                held[slot - first] = pack(held[slot - first], item.conv, (PACKED_ROWS, *item.shape))
            self._packed = held
        return self._packed

    def _run(self, calls: list[_Call], images: tuple[Tensor, ...], held: list[Tensor]) -> tuple[Tensor, ...]:
        values: list[Tensor | None] = list(images)
        if self._convolves:
            values = [x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x for x in images]
        values.extend(held)
        values.extend([None] * (self._slots - len(values)))
        for run, arguments, results, done in calls:
            made = run(*[values[i] for i in arguments])
            if isinstance(made, Tensor):
                values[results[0]] = made
            else:
                for i, tensor in zip(results, made, strict=True):
                    values[i] = tensor
            for i in done:
                values[i] = None
        given = [values[i] for i in self._outputs]
        return tuple(tensor for tensor in given if tensor is not None)


def _numbered(plan: Plan, slots: dict[str, int]) -> list[_Call]:
    last = {name: i for i, step in enumerate(plan.steps) for name in step.inputs}
    calls = []
    for i, step in enumerate(plan.steps):
        used = {*step.inputs, *step.outputs} - plan.constants.keys() - {*plan.outputs}
        done = tuple(slots[name] for name in sorted(used) if last.get(name, i) <= i)
        arguments, results = (tuple(slots[name] for name in side) for side in (step.inputs, step.outputs))
        calls.append(_Call(step.run, arguments, results, done))
    return calls

"""An ONNX graph as a differentiable torch module."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import prod
from typing import NamedTuple

import onnx
import torch
from torch import Tensor, nn

from facemin.models.limits import GraphLimits
from facemin.models.lowering import Run
from facemin.models.operators_conv import Conv, Linear
from facemin.models.operators_pointwise import clip_tensor
from facemin.models.simplify import simplify
from facemin.models.trace import Plan, Step, trace

TRUSTED = GraphLimits()

LARGEST_VALUE = 8 << 20
"""Bytes of the largest value while no gradient is kept: rows run in groups that the processor's cache can hold.

Measured on two cores: 16 faces in groups of 5 to 8 take half the time of 16 at once.
"""

FRESH = (torch.add, torch.addcmul)
"""Functions that, like convolutions, return memory that nothing else holds."""


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
        absent = [name for name in outputs if name not in plan.outputs or name not in plan.shapes]
        if absent or not outputs:
            raise ValueError(f"expected outputs among {list(plan.outputs)} that an image changes, got {absent}")
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
        self._calls_in_place = _numbered(replace(plan, steps=_in_place(plan)), slots)
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
            return self._run(self._calls, images)
        rows = max(LARGEST_VALUE // (self._row_elements * images[0].element_size()), 1)
        if images[0].device.type != "cpu" or images[0].shape[0] <= rows:
            return self._run(self._calls_in_place, images)
        groups = -(-images[0].shape[0] // rows)
        parts = zip(*(image.tensor_split(groups) for image in images), strict=True)
        made = zip(*(self._run(self._calls_in_place, part) for part in parts), strict=True)
        return tuple(torch.cat(rows) for rows in made)

    def _run(self, calls: list[_Call], images: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        values: list[Tensor | None] = list(images)
        if self._convolves:
            values = [x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x for x in images]
        values.extend(self.buffers())
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
        results = [values[i] for i in self._outputs]
        return tuple(result for result in results if result is not None)


def _numbered(plan: Plan, slots: dict[str, int]) -> list[_Call]:
    last = {name: i for i, step in enumerate(plan.steps) for name in step.inputs}
    calls = []
    for i, step in enumerate(plan.steps):
        used = {*step.inputs, *step.outputs} - plan.constants.keys() - {*plan.outputs}
        done = tuple(slots[name] for name in sorted(used) if last.get(name, i) <= i)
        arguments, results = (tuple(slots[name] for name in side) for side in (step.inputs, step.outputs))
        calls.append(_Call(step.run, arguments, results, done))
    return calls


def _in_place(plan: Plan) -> list[Step]:
    """The same steps, overwriting what nothing else needs: for runs that keep no gradient."""
    last = {name: i for i, step in enumerate(plan.steps) for name in step.inputs}
    last |= dict.fromkeys(plan.outputs, len(plan.steps))
    users: dict[str, list[Step]] = {}
    for step in plan.steps:
        for name in step.inputs:
            users.setdefault(name, []).append(step)
    fresh: set[str] = set()
    steps = []
    for i, step in enumerate(plan.steps):
        target = step.inputs[0] if step.inputs else ""
        # A view of the target could outlive it, so whoever else used it must have made something new.
        others = [user for user in users.get(target, []) if user is not step]
        free = target in fresh and last[target] == i and step.inputs.count(target) == 1
        free = free and all(_makes_new(user) for user in others)
        run = _overwriting(step.run) if free and plan.shapes[target] == plan.shapes[step.outputs[0]] else None
        if run is not None or _makes_new(step):
            fresh.update(step.outputs)
        steps.append(step if run is None else Step(step.op, run, step.inputs, step.outputs))
    return steps


def _makes_new(step: Step) -> bool:
    return isinstance(step.run, Conv | Linear) or step.run in FRESH


def _overwriting(run: Run) -> Callable[..., Tensor] | None:
    if run is torch.relu:
        return torch.relu_
    if run is torch.add:
        return Tensor.add_
    if isinstance(run, partial) and run.func is clip_tensor:
        return partial(torch.clamp_, min=run.keywords["low"], max=run.keywords["high"])
    return None

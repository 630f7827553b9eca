"""Simplification of a plan: fewer steps, equal values up to rounding.

Identities go; factors and offsets per channel (batch normalisation, scaling, biases) fold into the convolution or
linear layer beside them. Where a convolution pads with zeros, an offset before it is not folded: the border would
change.
"""

from collections import Counter
from dataclasses import replace
from math import prod

import torch
from torch import Tensor

from facemin.autograd.compile.importer import Plan, Step
from facemin.autograd.operators.conv import Conv, Linear
from facemin.autograd.operators.norm import Affine
from facemin.autograd.operators.pointwise import divide, identity_tensor
from facemin.autograd.operators.shape import flattens
from facemin.models.onnx.analysis.known_graph import live_steps


def simplify(plan: Plan, outputs: tuple[str, ...]) -> Plan:
    """The steps and constants that `outputs` need, in fewer steps."""
    return _Simplifier(plan, outputs).plan()


class _Simplifier:
    def __init__(self, plan: Plan, outputs: tuple[str, ...]) -> None:
        self.old, self.outputs = plan, outputs
        self.shapes = dict(plan.shapes)
        self.constants = dict(plan.constants)
        self.steps = [self._as_affine(step) for step in self._without_identities(live_steps(plan.steps, outputs))]
        self.uses = Counter(name for step in self.steps for name in step.inputs)
        self.makers: dict[str, Step] = {}

    def plan(self) -> Plan:
        for step in self.steps:
            folded = self._fold_forwards(self._fold_backwards(step))
            for name in folded.outputs:
                self.makers[name] = folded
        kept = live_steps(list(dict.fromkeys(self.makers.values())), self.outputs)
        kept = [self._finished(step) for step in kept]
        used = {name for step in kept for name in step.inputs}
        constants = {name: tensor for name, tensor in self.constants.items() if name in used}
        return replace(self.old, outputs=self.outputs, steps=kept, constants=constants, shapes=self.shapes)

    def _without_identities(self, steps: list[Step]) -> list[Step]:
        renamed: dict[str, str] = {}
        kept = []
        for step in steps:
            inputs = tuple(renamed.get(name, name) for name in step.inputs)
            if step.run is identity_tensor and step.outputs[0] not in self.outputs:
                renamed[step.outputs[0]] = inputs[0]
            else:
                kept.append(replace(step, inputs=inputs))
        return kept

    def _new(self, name: str, tensor: Tensor) -> str:
        name = self._fresh(name)
        self.constants[name] = tensor
        return name

    def _fresh(self, name: str) -> str:
        """A name like this one that nothing has yet, whatever the file calls its values."""
        while name in self.shapes or name in self.constants:
            name += "'"
        return name

    def _affine(self, step: Step, source: str, scale: Tensor, shift: Tensor) -> Step:
        name = step.outputs[0]
        made = (self._new(f"{name}:scale", scale), self._new(f"{name}:shift", shift))
        return Step("Affine", (source, *made), step.outputs, Affine())

    def _as_affine(self, step: Step) -> Step:
        """Arithmetic with a constant per channel as a factor and an offset."""
        if step.run not in (torch.add, torch.sub, torch.mul, divide):
            return step
        left, right = step.inputs
        source, held = (left, right) if right in self.constants else (right, left)
        shape = self.shapes.get(source, ())
        if held not in self.constants or source in self.constants or shape != self.shapes[step.outputs[0]]:
            return step
        if len(shape) < 2 or (held == left and step.run is divide):
            return step
        per_channel = _channels(self.constants[held], shape)
        if per_channel is None:
            return step
        ones, zeros = torch.ones_like(per_channel), torch.zeros_like(per_channel)
        if step.run in (torch.mul, divide):
            scale, shift = (per_channel if step.run is torch.mul else 1 / per_channel), zeros
        elif step.run is torch.add:
            scale, shift = ones, per_channel
        else:
            scale, shift = (ones, -per_channel) if source == left else (-ones, per_channel)
        return self._affine(step, source, scale, shift) if torch.isfinite(scale.float()).all() else step

    def _sole(self, name: str) -> Step | None:
        """What makes a value that only one step uses."""
        return self.makers.get(name) if self.uses[name] == 1 and name not in self.outputs else None

    def _fold_backwards(self, step: Step) -> Step:
        """A factor and an offset into the layer before them."""
        if not isinstance(step.run, Affine):
            return step
        source, scale, shift = step.inputs[0], *(self.constants[name].double() for name in step.inputs[1:])
        before = self._sole(source)
        if before is None:
            return step
        if isinstance(before.run, Affine):
            first, offset = (self.constants[name].double() for name in before.inputs[1:])
            return self._affine(step, before.inputs[0], first * scale, offset * scale + shift)
        channels_last = len(self.shapes[source]) == 2
        if not isinstance(before.run, Conv) and not (isinstance(before.run, Linear) and channels_last):
            return step
        weight = self.constants[before.inputs[1]].double()
        bias = self.constants[before.inputs[2]].double() if len(before.inputs) > 2 else torch.zeros_like(shift)
        weight = weight * scale.reshape(-1, *(1,) * (weight.dim() - 1))
        return self._layer(before, before.inputs[0], weight, bias * scale + shift, step.outputs)

    def _fold_forwards(self, step: Step) -> Step:
        """A factor and an offset into the layer after them."""
        if not isinstance(step.run, Conv | Linear):
            return step
        before = self._sole(step.inputs[0])
        spread = 1
        if before is not None and isinstance(step.run, Linear) and flattens(before.run):
            inner = self._sole(before.inputs[0])
            if inner is not None and isinstance(inner.run, Affine):
                spread = prod(self.shapes[inner.outputs[0]][2:])
                return self._merge(step, inner, spread, flat=before)
        if before is None or not isinstance(before.run, Affine):
            return step
        if isinstance(step.run, Linear) and len(self.shapes[step.inputs[0]]) != 2:
            return step
        return self._merge(step, before, spread)

    def _merge(self, step: Step, affine: Step, spread: int, flat: Step | None = None) -> Step:
        scale, shift = (self.constants[name].double().repeat_interleave(spread) for name in affine.inputs[1:])
        if isinstance(step.run, Conv) and step.run.padded and shift.any():
            return step
        weight = self.constants[step.inputs[1]].double()
        groups = step.run.groups if isinstance(step.run, Conv) else 1
        sides = (1,) * (weight.dim() - 2)
        rows = torch.arange(weight.shape[0]) // (weight.shape[0] // groups)
        scale, shift = (
            t.reshape(groups, weight.shape[1])[rows].reshape(*weight.shape[:2], *sides) for t in (scale, shift)
        )
        bias = (weight * shift).flatten(1).sum(1)
        if len(step.inputs) > 2:
            bias = bias + self.constants[step.inputs[2]].double()
        source = affine.inputs[0]
        if flat is not None:
            name = self._fresh(f"{flat.outputs[0]}:raw")
            self.makers[name] = replace(flat, inputs=(source,), outputs=(name,))
            self.uses[name], self.shapes[name] = 1, self.shapes[flat.outputs[0]]
            source = name
        return self._layer(step, source, weight * scale, bias, step.outputs)

    def _layer(self, layer: Step, source: str, weight: Tensor, bias: Tensor, outputs: tuple[str, ...]) -> Step:
        made = (self._new(f"{outputs[0]}:weight", weight), self._new(f"{outputs[0]}:bias", bias))
        return Step(layer.op, (source, *made), outputs, layer.run)

    def _finished(self, step: Step) -> Step:
        """Constants in single precision and in the layout that the step runs fastest on."""
        for name in step.inputs:
            tensor = self.constants.get(name)
            if tensor is not None and tensor.dtype == torch.float64:
                self.constants[name] = tensor.float()
        if isinstance(step.run, Conv):
            weight = self.constants[step.inputs[1]]
            self.constants[step.inputs[1]] = weight.contiguous(memory_format=torch.channels_last)
        if not isinstance(step.run, Affine):
            return step
        source, *names = step.inputs
        sides = (1,) * (len(self.shapes[source]) - 2)
        scale, shift = (self.constants[name].reshape(-1, *sides) for name in names)
        self.constants.update({names[0]: scale, names[1]: shift})
        if not shift.any():
            return Step("Mul", (source, names[0]), step.outputs, torch.mul)
        if (scale == 1).all():
            return Step("Add", (source, names[1]), step.outputs, torch.add)
        return Step("Affine", (names[1], source, names[0]), step.outputs, torch.addcmul)


def _channels(constant: Tensor, shape: tuple[int, ...]) -> Tensor | None:
    """A constant that broadcasts along channels only, as (C,) in double precision; None where it does more."""
    padded = (1,) * (len(shape) - constant.dim()) + tuple(constant.shape)
    if not constant.is_floating_point() or any(n != 1 for i, n in enumerate(padded) if i != 1):
        return None
    return constant.reshape(-1).double().expand(shape[1])

"""A convolution in one pass with what follows it, for runs on a processor that keep no gradient.

Written out, each activation and each residual sum reads and writes a whole value again; small networks spend a
fifth of their time on that. The one-pass convolutions are those torch's compiler uses (`torch.ops.mkldnn`); they
are no documented interface, so `one_pass` tries them once and everything falls back to plain operators.
"""

from collections import Counter
from dataclasses import dataclass, replace
from functools import cache, partial
from math import isfinite
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from facemin.autograd.compile.importer import Plan, Step
from facemin.autograd.operator_api import Run
from facemin.autograd.operators.conv import Conv
from facemin.autograd.operators.pointwise import clip_tensor

ANEW, IN_PLACE = "_convolution_pointwise", "_convolution_pointwise_"
"""Names of the one-pass convolutions: into new memory, and on top of a value."""

LARGEST_PACKED = 1 << 20
"""Bytes of the largest weight kept a second time, in the layout of the processor's own instructions.

Larger ones belong to convolutions that compute for so long that reordering them on each call does not show.
"""


@dataclass(frozen=True, kw_only=True)
class Activation:
    """A function of each element: `none`, `relu`, or `hardtanh` between two bounds."""

    kind: str = "none"
    bounds: tuple[float, ...] = ()

    def apply_(self, x: Tensor) -> Tensor:
        """Overwrite a value with it."""
        if self.kind == "relu":
            return x.relu_()
        return x.clamp_(*self.bounds) if self.kind == "hardtanh" else x


@dataclass(frozen=True, kw_only=True)
class Fused:
    """A convolution, a sum with another value where `adds`, and an activation. It keeps no gradient.

    Args:
        conv: the convolution.
        activation: what comes last.
        adds: the first argument is what the convolution's result is added to.
        overwrites: that argument's memory may take the result.
    """

    conv: Conv
    activation: Activation = Activation()
    adds: bool = False
    overwrites: bool = False

    def __call__(self, *values: Tensor) -> Tensor:
        """(other where `adds`, x, weight, bias where there is one) -> (B,D,H',W')."""
        other, (x, weight, *rest) = (values[0], values[1:]) if self.adds else (None, values)
        bias = rest[0] if rest else None
        if not packs(x):
            made = self.conv(x, weight, bias)
            if other is not None:
                made = other.add_(made) if self.overwrites else made.add_(other)
            return self.activation.apply_(made)
        if self.conv.before is not None:
            x = F.pad(x, self.conv.before)
        window = (self.conv.padding, self.conv.stride, self.conv.dilation, self.conv.groups)
        kind, bounds = self.activation.kind, list(self.activation.bounds)
        if other is None:
            made = _operator(ANEW)(x, weight, bias, *window, kind, bounds, "")
        else:
            after = (None, [], None) if kind == "none" else (kind, bounds, "")
            name, order = (IN_PLACE, (other, x)) if self.overwrites else (ANEW, (x, other))
            made = _operator(name).binary(*order, weight, bias, *window, "add", 1.0, *after)
        assert isinstance(made, Tensor)
        return made


def packs(x: Tensor) -> bool:
    """Whether one-pass convolutions, and packed weights with them, serve this value."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and one_pass()


def _operator(name: str) -> Any:
    return getattr(torch.ops.mkldnn, name)


@cache
def one_pass() -> bool:
    """Whether this build of torch has the one-pass convolutions, and they compute what they should."""
    x = torch.linspace(-1, 1, 2 * 4 * 3 * 3).reshape(2, 4, 3, 3).contiguous(memory_format=torch.channels_last)
    weight, bias = torch.linspace(-1, 1, 16).reshape(4, 4, 1, 1), torch.linspace(0, 1, 4)
    plain = F.conv2d(x, weight, bias)
    window: tuple[object, ...] = ([0, 0], [1, 1], [1, 1], 1)
    try:
        with torch.no_grad():
            packed = pack(weight, Conv(stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1), tuple(x.shape))
            anew, overwriting = _operator(ANEW), _operator(IN_PLACE)
            clipped = anew(x, packed, bias, *window, "hardtanh", [0.0, 0.5], "")
            added = anew.binary(x, x, weight, bias, *window, "add", 1.0, "relu", [], "")
            summed = x.clone(memory_format=torch.preserve_format)
            overwriting.binary(summed, x, packed, bias, *window, "add", 1.0, None, [], None)
    except (AttributeError, RuntimeError, TypeError):
        return False
    pairs = ((clipped, plain.clamp(0, 0.5)), (added, (plain + x).relu()), (summed, plain + x))
    return all(torch.allclose(made, expected, atol=1e-5) for made, expected in pairs)


class Packable(NamedTuple):
    """A constant that `pack` may lay out anew, and the convolution and input (C,H,W) it is laid out for."""

    name: str
    conv: Conv
    shape: tuple[int, ...]


def packable(plan: Plan) -> list[Packable]:
    """The small weights that one fused convolution each takes."""
    users = Counter(name for step in plan.steps for name in step.inputs)
    found = []
    for step in plan.steps:
        if isinstance(step.run, Fused) and step.run.conv.before is None:
            source, name = step.inputs[step.run.adds :][:2]
            weight = plan.constants[name]
            if users[name] == 1 and weight.numel() * weight.element_size() <= LARGEST_PACKED:
                found.append(Packable(name, step.run.conv, plan.shapes[source][1:]))
    return found


def pack(weight: Tensor, conv: Conv, shape: tuple[int, ...]) -> Tensor:
    """The weight as the processor wants it for inputs of a shape (B,C,H,W): opaque, for `Fused` alone."""
    window = (conv.padding, conv.stride, conv.dilation, conv.groups)
    with torch.no_grad():
        made = torch.ops.aten.mkldnn_reorder_conv2d_weight(weight.to_mkldnn(), *window, list(shape))
    assert isinstance(made, Tensor)
    return made


def fuse(plan: Plan) -> Plan:
    """The same values from fewer steps, with `Fused` ones among them: for runs that keep no gradient."""
    uses = Counter(name for step in plan.steps for name in step.inputs)
    uses.update(plan.outputs)
    made: dict[str, Step] = {}
    for step in plan.steps:
        fused = _with_activation(step, made, uses) or _with_sum(step, made, uses, plan) or step
        if isinstance(step.run, Conv):
            fused = replace(step, run=Fused(conv=step.run))
        for name in fused.outputs:
            made[name] = fused
    return replace(plan, steps=list(dict.fromkeys(made.values())))


def _with_activation(step: Step, made: dict[str, Step], uses: Counter[str]) -> Step | None:
    activation = _activation(step.run)
    before = made.get(step.inputs[0]) if step.inputs and uses[step.inputs[0]] == 1 else None
    if activation is None or before is None or not isinstance(before.run, Fused):
        return None
    if before.run.activation != Activation():
        return None
    del made[step.inputs[0]]
    return Step(before.op, before.inputs, step.outputs, replace(before.run, activation=activation))


def _with_sum(step: Step, made: dict[str, Step], uses: Counter[str], plan: Plan) -> Step | None:
    """A sum at whose place the convolution that makes one of its terms runs, on top of the other term."""
    if step.run is not torch.add or plan.shapes.get(step.inputs[0]) != plan.shapes.get(step.inputs[1]):
        return None
    order = {name: place for place, name in enumerate(made)}
    for term, other in sorted((step.inputs, step.inputs[::-1]), key=lambda pair: -order.get(pair[0], -1)):
        before = made.get(term)
        if before is None or uses[term] != 1 or not isinstance(before.run, Fused):
            continue
        if before.run == Fused(conv=before.run.conv):
            del made[term]
            return Step(before.op, (other, *before.inputs), step.outputs, replace(before.run, adds=True))
    return None


def _activation(run: Run) -> Activation | None:
    if run is torch.relu:
        return Activation(kind="relu")
    if isinstance(run, partial) and run.func is clip_tensor:
        low, high = run.keywords["low"], run.keywords["high"]
        if low is not None and high is not None and isfinite(low) and isfinite(high) and low <= high:
            return Activation(kind="hardtanh", bounds=(float(low), float(high)))
    return None

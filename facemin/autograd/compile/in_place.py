"""Steps that overwrite what nothing else needs: for runs that keep no gradient."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from facemin.autograd.compile.fused import Fused
from facemin.autograd.compile.importer import Plan, Step
from facemin.autograd.operator_api import Run
from facemin.autograd.operators.conv import Conv, Linear
from facemin.autograd.operators.pointwise import clip_tensor

FRESH = (torch.add, torch.addcmul)
"""Functions that, like convolutions, return memory that nothing else holds."""


def in_place(plan: Plan) -> Plan:
    """The same steps, each writing over its first argument where that is memory of our own and not needed again."""
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
        steps.append(step if run is None else Step(step.op, step.inputs, step.outputs, run))
    return replace(plan, steps=steps)


def _makes_new(step: Step) -> bool:
    return isinstance(step.run, Conv | Fused | Linear) or step.run in FRESH


def _overwriting(run: Run) -> Callable[..., Tensor] | None:
    if isinstance(run, Fused):
        return replace(run, overwrites=True) if run.adds else None
    if run is torch.relu:
        return torch.relu_
    if run is torch.add:
        return Tensor.add_
    if isinstance(run, partial) and run.func is clip_tensor:
        return partial(torch.clamp_, min=run.keywords["low"], max=run.keywords["high"])
    return None

"""PReLU with slopes that are constants: the same values as torch's, and a gradient at a fifth of its cost."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def prelu_channels(x: Tensor, slope: Tensor) -> Tensor:
    """Positive values kept, slope * x for the others, with one slope per channel, (C,), or one for all, (1,).

    Differentiable in `x` alone: torch's own gradient computes that of the slope too, whether it is asked for or not,
    and took 45 % of a step through a MobileFaceNet.
    """
    if not (torch.is_grad_enabled() and x.requires_grad):
        return F.prelu(x, slope)
    result: Tensor = _FixedSlopes.apply(x, slope)  # type: ignore[no-untyped-call]
    return result


class _FixedSlopes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(x, slope.view(-1, *(1,) * (x.dim() - 2)))
        return F.prelu(x, slope)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        x, slope = ctx.saved_tensors
        passed = torch.ops.aten.threshold_backward(gradient, x, 0)
        return torch.addcmul(gradient * slope, passed, 1 - slope), None

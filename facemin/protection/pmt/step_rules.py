"""Step rules along a gradient: the paper's two and Adam.

Every rule is scale-free: multiplying the loss by a constant changes nothing, so a step is in grey levels
whatever the network. State lives in buffers with one row an image, so rows can be added and moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

from facemin.runtime.ranges import ranges

if TYPE_CHECKING:
    from torch import Tensor

GREY_LEVEL = 1 / 255


class StepRule(Protocol):
    """A step rule; frozen settings, no state of its own."""

    def buffers(self, images: Tensor) -> tuple[Tensor, ...]:
        """State for images (B, 3, H, W): tensors whose first dimension is B, zero for a fresh image."""

    def update_(self, images: Tensor, gradient: Tensor, state: tuple[Tensor, ...], steps: Tensor) -> None:
        """Move images (B, 3, H, W) in [0, 1] in place; `gradient` may be overwritten.

        Args:
            images: what is optimised; not clipped here.
            gradient: of the loss with respect to them, the same shape.
            state: this rule's buffers for these rows.
            steps: number of this step for each row, (B,), float32, from 1.
        """


class WithoutMemory:
    """What step rules have in common that keep nothing from one step to the next."""

    def buffers(self, images: Tensor) -> tuple[Tensor, ...]:
        """None: the rule has no memory."""
        del images
        return ()


@dataclass(frozen=True, kw_only=True)
@ranges({"(0, inf)": "step"})
class Sign(WithoutMemory):
    """Every value moves by a full step against the gradient's sign.

    Source: PMT section 5.2 ("we derive the gradient sign"), with the sign of Algorithm 1, line 9, corrected.

    Args:
        step: grey levels of 255 that each value moves in a step.
    """

    step: float = 4.0

    def update_(self, images: Tensor, gradient: Tensor, state: tuple[Tensor, ...], steps: Tensor) -> None:
        """See `StepRule.update_`."""
        del state, steps
        images.sub_(gradient.sign_(), alpha=self.step * GREY_LEVEL)


@dataclass(frozen=True, kw_only=True)
@ranges({"(0, inf)": "step"})
class L1(WithoutMemory):
    """The gradient divided by its mean magnitude, so that the average value moves by one step.

    Source: PMT Algorithm 2, line 10. The paper divides by the L1 norm, a sum over 37,632 values; the mean keeps
    the step in grey levels (one of ours is 37,632 of theirs).

    Args:
        step: grey levels of 255 that a value moves on average in a step.
    """

    step: float = 4.0

    def update_(self, images: Tensor, gradient: Tensor, state: tuple[Tensor, ...], steps: Tensor) -> None:
        """See `StepRule.update_`."""
        del state, steps
        mean = gradient.abs().mean((1, 2, 3), keepdim=True).clamp_min_(torch.finfo(gradient.dtype).tiny)
        images.sub_(gradient.div_(mean), alpha=self.step * GREY_LEVEL)


@dataclass(frozen=True, kw_only=True)
@ranges({"(0, inf)": "step", "[0, 1)": "beta1 beta2"})
class Adam:
    """Adam with its step in grey levels.

    Source: Kingma and Ba 2015, algorithm 1.

    Args:
        step: grey levels of 255; the largest move of a value in a steady direction.
        beta1: decay of the mean gradient, in [0, 1).
        beta2: decay of the mean squared gradient, in [0, 1).
        epsilon: keeps the division finite; far below any gradient, whose scale the network decides.
    """

    step: float = 6.0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-20

    def buffers(self, images: Tensor) -> tuple[Tensor, ...]:
        """Mean gradient and mean squared gradient, (B, 3, H, W) each."""
        return torch.zeros_like(images), torch.zeros_like(images)

    def update_(self, images: Tensor, gradient: Tensor, state: tuple[Tensor, ...], steps: Tensor) -> None:
        """See `StepRule.update_`."""
        mean, square = state
        mean.lerp_(gradient, 1 - self.beta1)
        square.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
        # both bias corrections fold into one number an image: no further pass over the pixels
        second = (1 - self.beta2**steps).sqrt()
        rate = (self.step * GREY_LEVEL * second / (1 - self.beta1**steps)).view(-1, 1, 1, 1)
        torch.sqrt(square, out=gradient)
        gradient.add_(self.epsilon)
        torch.div(mean, gradient, out=gradient)
        images.sub_(gradient.mul_(rate))


RULES: dict[str, type[Sign | L1 | Adam]] = {"adam": Adam, "sign": Sign, "l1": L1}
"""Step rules by name."""

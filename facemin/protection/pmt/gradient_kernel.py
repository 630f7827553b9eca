"""Translation-invariant gradients: W of Algorithm 2, with which the gradient is smoothed before a step.

Source: PMT section 5.3, the linear and the Gaussian kernel; after Dong et al. 2019, section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import exp, sqrt
from typing import TYPE_CHECKING, Literal

import torch

from facemin.protection.pmt import separable as linear_maps

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.protection.pmt.step_rules import StepRule

Shape = Literal["gaussian", "linear"]
Reading = Literal["radius", "side"]
LARGEST = 55
"""Radius in pixels at which a kernel is as wide as a face."""


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """A separable smoothing kernel, of sum 1; zeros lie beyond the border ("same" convolution).

    Args:
        shape: "gaussian" is exp(-i^2 / 2 sigma^2) with sigma = k / sqrt(3); "linear" is 1 - |i| / (k + 1).
        length: the paper's "length", whose chosen value is 1; at least 0.
        reading: what the length means, which the paper leaves open: "radius" takes it for k, so that 1 is a kernel
            of 3 x 3; "side" for the kernel's width 2 k + 1, so that 1 changes nothing. A side is odd.

    Raises:
        ValueError: a setting out of range.
    """

    shape: Shape = "gaussian"
    length: int = 1
    reading: Reading = "radius"

    def __post_init__(self) -> None:
        if self.shape not in ("gaussian", "linear"):
            raise ValueError(f"Kernel shape: expected gaussian or linear, got {self.shape!r}")
        if self.reading not in ("radius", "side"):
            raise ValueError(f"Kernel reading: expected radius or side, got {self.reading!r}")
        if not isinstance(self.length, int) or (self.reading == "side" and self.length % 2 == 0):
            expected = "an odd integer" if self.reading == "side" else "an integer"
            raise ValueError(f"Kernel length: expected {expected}, got {self.length!r}")
        if not 0 <= self.radius <= LARGEST:
            raise ValueError(f"Kernel length: expected a radius of 0 to {LARGEST} pixels, got {self.radius}")

    @property
    def radius(self) -> int:
        """k, in pixels."""
        return self.length if self.reading == "radius" else (self.length - 1) // 2

    @property
    def weights(self) -> tuple[float, ...]:
        """One axis of the kernel, 2 k + 1 numbers of sum 1."""
        k = self.radius
        if k == 0:
            return (1.0,)
        raw = [
            exp(-(i**2) / (2 * (k / sqrt(3)) ** 2)) if self.shape == "gaussian" else 1 - abs(i) / (k + 1)
            for i in range(-k, k + 1)
        ]
        return tuple(value / sum(raw) for value in raw)

    @cached_property
    def matrix(self) -> Tensor:
        """The convolution along one axis of a face as a matrix, (112, 112) float32."""
        side, k = linear_maps.SIDE, self.radius
        bands = [torch.full((side - abs(i),), w).diag(i) for i, w in zip(range(-k, k + 1), self.weights, strict=True)]
        return torch.stack(bands).sum(0)

    def smoothed(self, rule: StepRule) -> StepRule:
        """A step rule that sees smoothed gradients."""
        return _Smoothed(rule=rule, kernel=self)


@dataclass(frozen=True, kw_only=True)
class _Smoothed:
    """A rule behind a kernel.

    Algorithm 2, line 10, divides by the gradient's L1 norm before it smooths; here the rule sees the smoothed
    gradient, so that the step it takes is the number of grey levels it was told.
    """

    rule: StepRule
    kernel: Kernel

    def buffers(self, images: Tensor) -> tuple[Tensor, ...]:
        """See `step_rules.StepRule.buffers`."""
        return self.rule.buffers(images)

    def update_(self, images: Tensor, gradient: Tensor, state: tuple[Tensor, ...], steps: Tensor) -> None:
        """See `step_rules.StepRule.update_`."""
        matrix = self.kernel.matrix.to(gradient).expand(len(gradient), -1, -1)
        smooth = linear_maps.apply(gradient, matrix, matrix).contiguous(memory_format=torch.channels_last)
        self.rule.update_(images, smooth, state, steps)

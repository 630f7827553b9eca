"""Total-variation denoising: the nearest image without small ups and downs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from facemin.runtime.ranges import ranges


@dataclass(frozen=True, kw_only=True)
@ranges({"(0, inf)": "weight", "integer [1, inf)": "steps"})
class TotalVariation:
    """Minimise ||u - f||^2 / 2 + weight * TV(u) over images u, each channel on its own.

    A fixed number of projected steps on the dual, so that an image's result does not depend on its batch.

    Source: Rudin, Osher and Fatemi, 1992 (the problem); Chambolle, An algorithm for total variation minimization and
    applications, 2004, equation 9 (the iteration, with the step 1/4).

    Args:
        weight: of the total variation, in units of [0, 1]; larger ones flatten more.
        steps: of the iteration.
    """

    weight: float
    steps: int = 100

    def __call__(self, images: Tensor) -> Tensor:
        """Denoise images (B, C, H, W) of any range; differentiable, at the cost of all steps' memory."""
        down, right = torch.zeros_like(images), torch.zeros_like(images)
        smooth = images
        for _ in range(self.steps):
            slope_down = F.pad(smooth.diff(dim=2), (0, 0, 0, 1))
            slope_right = F.pad(smooth.diff(dim=3), (0, 1))
            length = 1 + (slope_down.square() + slope_right.square()).sqrt() * (0.25 / self.weight)
            down, right = (down - 0.25 * slope_down) / length, (right - 0.25 * slope_right) / length
            # the adjoint of the slopes: what flows in from above and from the left, less what flows out
            flow = F.pad(down, (0, 0, 1, 0))[..., :-1, :] + F.pad(right, (1, 0))[..., :-1]
            smooth = images + flow - down - right
        return smooth

"""Provider operations as random differentiable transforms of the protected image.

Source: beyond the paper, whose T has noise and affine maps only; ../shared/findings.md section 3 has the first
measurement of it, docs/decisions the later ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from facemin.protection.pmt import separable as linear_maps
from facemin.protection.pmt.jpeg import jpeg
from facemin.protection.pmt.randomness import generators, normal
from facemin.runtime.ranges import ranges

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from facemin.protection.pmt.optimise import StepContext

GRID = 0.05
"""Blurs come in steps of this many pixels, so that their matrices are made once."""


@dataclass(frozen=True, kw_only=True)
@ranges(
    {
        "[0, 8]": "blur",
        "[0.1, 1]": "resize",
        "integer [0, 95]": "jpeg",
        "[0, 1]": "noise",
        "integer [0, 56]": "shift",
    }
)
class ProviderOperations:
    """One operation a row and step, drawn with equal chance among those whose strength is not zero, or none.

    Args:
        blur: largest Gaussian blur in pixels; drawn from a third of it.
        resize: smallest factor by which the image is scaled down before it is scaled up again, in [0.1, 1]; drawn
            up to 0.95. 1 for no resizing.
        jpeg: lowest JPEG quality; drawn up to 95. 0 for no JPEG.
        noise: largest standard deviation of Gaussian noise, in units of [0, 1].
        shift: largest shift along each axis, in whole pixels.

    Raises:
        ValueError: a strength out of range, or a quality or shift that is no integer.
    """

    blur: float = 1.2
    resize: float = 0.7
    jpeg: int = 75
    noise: float = 0.05
    shift: int = 2

    @property
    def names(self) -> tuple[str, ...]:
        """The operations that may be drawn."""
        strong = {
            "none": True,
            "blur": self.blur > 0,
            "resize": self.resize < 1,
            "jpeg": self.jpeg > 0,
            "noise": self.noise > 0,
            "shift": self.shift > 0,
        }
        return tuple(name for name, chosen in strong.items() if chosen)

    def __call__(self, images: Tensor, moment: StepContext) -> Tensor:
        """See `transforms.Transform`."""
        drawn = [(own, str(own.choice(self.names))) for own in generators(moment)]
        maps = [self._maps(name, own) for own, name in drawn]
        rows, columns = (torch.stack(side).to(images) for side in zip(*maps, strict=True))
        changed = linear_maps.apply(images, rows, columns)
        noisy = {
            row: normal(own, images[row].detach()) * float(own.uniform(0, self.noise))
            for row, (own, name) in enumerate(drawn)
            if name == "noise"
        }
        if noisy:
            places = torch.tensor(list(noisy), device=images.device)
            changed = changed.index_add(0, places, torch.stack(list(noisy.values())))
        coded = [row for row, (_, name) in enumerate(drawn) if name == "jpeg"]
        if coded:
            places = torch.tensor(coded, device=images.device)
            quality = torch.tensor([int(drawn[row][0].integers(self.jpeg, 96)) for row in coded], device=images.device)
            changed = changed.index_copy(0, places, jpeg(changed[places], quality))
        return changed

    def _maps(self, name: str, own: np.random.Generator) -> tuple[Tensor, Tensor]:
        if name == "blur":
            sigma = max(1, round(own.uniform(self.blur / 3, self.blur) / GRID)) * GRID
            return (linear_maps.blur_matrix(sigma),) * 2
        if name == "resize":
            side = round(own.uniform(self.resize, max(self.resize, 0.95)) * linear_maps.SIDE)
            return (linear_maps.resize_matrix(side),) * 2
        if name == "shift":
            down, right = (int(own.integers(-self.shift, self.shift + 1)) for _ in range(2))
            return linear_maps.shift_matrix(down), linear_maps.shift_matrix(right)
        return (linear_maps.shift_matrix(0),) * 2

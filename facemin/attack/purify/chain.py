"""Purifiers one after the other (row T2): what survives a blur may not survive a JPEG of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from facemin.attack.purify.median import Median
from facemin.attack.purify.registry import GaussianBlur
from facemin.evaluation.provider_operations import Jpeg, Resize

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.attack.purify.registry import Purifier


@dataclass(frozen=True, kw_only=True)
class Chain:
    """Several purifiers in order.

    Args:
        purifiers: at least two.

    Raises:
        ValueError: fewer.
    """

    purifiers: tuple[Purifier, ...]

    def __post_init__(self) -> None:
        if len(self.purifiers) < 2:
            raise ValueError(f"Chain purifiers: expected at least two, got {len(self.purifiers)}")

    def __call__(self, images: Tensor) -> Tensor:
        """Change images (B, 3, H, W) in [0, 1]; back in [0, 1] after each."""
        for purify in self.purifiers:
            images = purify(images).clamp(0, 1)
        return images


CHAINS: dict[str, Chain] = {
    "median-3, blur-1": Chain(purifiers=(Median(side=3), GaussianBlur(sigma=1.0))),
    "blur-1, jpeg-75": Chain(purifiers=(GaussianBlur(sigma=1.0), Jpeg(quality=75))),
    "resize-0.5, median-3": Chain(purifiers=(Resize(factor=0.5), Median(side=3))),
    "median-5, blur-2, jpeg-75": Chain(purifiers=(Median(side=5), GaussianBlur(sigma=2.0), Jpeg(quality=75))),
}
"""Combinations by name."""

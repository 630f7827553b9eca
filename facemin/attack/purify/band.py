"""Band-pass filters (row T2): what is left of a protected image where the noise that it began from is not strong.

Noise that was put into some frequencies hides nothing in others, and an attacker who knows how images are begun looks
there. A band's contrast is small, and recognisers expect a photo's: each image is brought to one contrast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from facemin.attack.purify.registry import GaussianBlur
from facemin.runtime.ranges import check_ranges

if TYPE_CHECKING:
    from torch import Tensor

CONTRAST = 0.2
"""Standard deviation that a band is brought to, about a photo's."""


@dataclass(frozen=True, kw_only=True)
class BandPass:
    """Difference of two Gaussian blurs around mid-grey, at one contrast; with `fine` at 0 a high-pass.

    Args:
        fine: standard deviation of the blur that takes finer structure away, pixels; 0 for none.
        coarse: of the one whose coarser structure is subtracted, pixels, above `fine`.

    Raises:
        ValueError: a deviation out of its range, or `coarse` not above `fine`.
    """

    fine: float
    coarse: float

    def __post_init__(self) -> None:
        check_ranges(self, {"[0, inf)": "fine", "(0, inf)": "coarse"})
        if self.coarse <= self.fine:
            raise ValueError(f"BandPass coarse: expected more than fine, {self.fine}, got {self.coarse}")

    def __call__(self, images: Tensor) -> Tensor:
        """Filter images (B, 3, H, W) in [0, 1]; back in [0, 1], each image on its own."""
        fine = GaussianBlur(sigma=self.fine)(images) if self.fine else images
        band = fine - GaussianBlur(sigma=self.coarse)(images)
        # not `std`, which warns of no images
        deviation = (band - band.mean((1, 2, 3), keepdim=True)).square().mean((1, 2, 3), keepdim=True).sqrt()
        return (0.5 + CONTRAST * band / deviation.clamp_min(1e-6)).clamp(0, 1)


BANDS: dict[str, BandPass] = {
    "band 0-1": BandPass(fine=0, coarse=1),
    "band 0-2": BandPass(fine=0, coarse=2),
    "band 1-4": BandPass(fine=1, coarse=4),
    "band 2-4": BandPass(fine=2, coarse=4),
    "band 4-8": BandPass(fine=4, coarse=8),
}
"""By name, with both deviations in pixels."""

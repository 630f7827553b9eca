"""Band-pass filters: they keep their own frequencies and take the others away."""

import math

import pytest
import torch
from torch import Tensor

from facemin.attack.purify.band import CONTRAST, BandPass

IMAGES = torch.rand(3, 3, 112, 112, generator=torch.Generator().manual_seed(0))


def waves(period: float) -> Tensor:
    across = torch.arange(112.0)
    return (0.3 * torch.sin(2 * math.pi * across / period)).expand(1, 3, 112, 112)


@pytest.mark.parametrize(("fine", "coarse", "kept", "lost"), [(0, 1, 3.0, 28.0), (1, 4, 14.0, 3.0), (4, 8, 28.0, 4.0)])
def test_keeps_its_own_frequencies(fine: float, coarse: float, kept: float, lost: float) -> None:
    wanted, other = waves(kept), waves(lost)
    made = BandPass(fine=fine, coarse=coarse)((0.5 + wanted + other).clamp(0, 1)) - 0.5
    inner = (..., slice(20, 92), slice(20, 92))

    def like(one: Tensor) -> float:
        return float(torch.corrcoef(torch.stack([made[inner].flatten(), one[inner].flatten()]))[0, 1])

    assert abs(like(wanted)) > 0.9
    assert abs(like(other)) < 0.3


def test_brings_faint_images_to_one_contrast() -> None:
    made = BandPass(fine=1, coarse=4)(0.5 + 0.01 * (IMAGES - 0.5))
    assert made.std((1, 2, 3)).tolist() == pytest.approx([CONTRAST] * 3, rel=0.05)


def test_grey_stays_grey() -> None:
    grey = torch.full((1, 3, 112, 112), 0.3)
    torch.testing.assert_close(BandPass(fine=0, coarse=2)(grey), torch.full_like(grey, 0.5), atol=0.1, rtol=0)


def test_refuses_a_band_without_width() -> None:
    with pytest.raises(ValueError, match="expected more than fine, 4, got 2"):
        BandPass(fine=4, coarse=2)

"""Where features look, against models whose geometry is known by construction."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from facemin.attack.geometry import Geometry, geometry_of, sampling_grid, spread


def test_spread_covers_the_face() -> None:
    assert spread(56, 112) == Geometry(0.5, 0.0, 2.0, 1.0)


def test_even_convolution_is_spread() -> None:
    torch.manual_seed(0)
    assert geometry_of(nn.Conv2d(3, 4, 3, stride=2, padding=1)) == spread(56, 56)


def test_crop_and_stride_are_found() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 16, 3, stride=3)
    found = geometry_of(lambda faces: layer(faces[:, :, 20:100, 10:100]))
    # feature 0 is centred on the crop's pixel 1
    assert found.down == pytest.approx(3, abs=0.1)
    assert found.across == pytest.approx(3, abs=0.1)
    assert found.top == pytest.approx(21, abs=1.0)
    assert found.left == pytest.approx(11, abs=1.0)


def test_small_maps_are_spread() -> None:
    assert geometry_of(lambda faces: F.adaptive_avg_pool2d(faces, 5)) == spread(5, 5)


def test_refuses_vectors() -> None:
    with pytest.raises(ValueError, match=r"maps \(B, C, h, w\), got \(2, 3\)"):
        geometry_of(lambda faces: faces.mean((2, 3)))


def test_grid_lays_a_crop_back_onto_the_face() -> None:
    ramp = torch.arange(112.0)[:, None].expand(112, 112) + 1000 * torch.arange(112.0)[None]
    crop = ramp[20:104:2, 30:90]
    grid = sampling_grid(Geometry(20, 30, 2, 1), len(crop), len(crop[0]), 112)
    laid = F.grid_sample(crop[None, None], grid, align_corners=False, padding_mode="border")[0, 0]
    torch.testing.assert_close(laid[20:100, 30:90], ramp[20:100, 30:90], rtol=1e-4, atol=0.5)

"""Visible change of a cloak: measured, weighed, and scaled to a budget."""

import pytest
import torch

from facemin.cloak.visible_change import adapted, dsim, to_budget


def pictures(seed: int) -> torch.Tensor:
    """(2, 3, 48, 48), smooth and away from black and white."""
    coarse = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=(48, 48), mode="bilinear").clamp(0.2, 0.8)


def test_dsim_is_none_for_the_same_picture_and_grows_with_noise() -> None:
    plain = pictures(1)
    noise = torch.randn(plain.shape, generator=torch.Generator().manual_seed(2))
    assert dsim(plain, plain).tolist() == pytest.approx([0, 0], abs=1e-6)
    small, large = (dsim((plain + scale * noise).clamp(0, 1), plain) for scale in (0.01, 0.05))
    assert (small > 0).all()
    assert (small < large).all()
    assert (large < 1).all()


@pytest.mark.parametrize(
    ("weight", "visible", "after"),
    [
        (4.0, 0.026, 2.0),
        (4.0, 0.034, 8.0),
        (4.0, 0.030, 4.0),
        (1 / 128, 0.01, 1.0),  # out of its range it starts again
        (128.0, 0.05, 1.0),
    ],
)
def test_the_weight_is_halved_below_and_doubled_above_the_budget(weight: float, visible: float, after: float) -> None:
    assert adapted(weight, visible, tau=0.03) == after


@pytest.mark.parametrize("size", [0.008, 0.2])
def test_a_change_is_scaled_up_or_down_to_its_budget(size: float) -> None:
    plain = pictures(3)
    change = size * torch.randn((1, 3, 48, 48), generator=torch.Generator().manual_seed(4)).clamp(-2, 2)
    scaled = to_budget(change, plain, tau=0.03, bound=1.0)
    levels = (scaled * 255).round() / 255
    assert float(dsim((plain + levels).clamp(0, 1), plain).mean()) == pytest.approx(0.03, rel=0.05)
    ratio = scaled / change
    assert torch.allclose(ratio, ratio.mean().expand_as(ratio), atol=1e-4)


def test_no_value_is_scaled_beyond_the_bound() -> None:
    plain = pictures(5)
    change = torch.full((1, 3, 48, 48), 0.01) * torch.tensor([1.0, -1.0]).repeat(24)
    scaled = to_budget(change, plain, tau=0.9, bound=0.02)
    assert float(scaled.abs().max()) == pytest.approx(0.02)

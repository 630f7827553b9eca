"""PReLU with constant slopes against torch's own."""

import pytest
import torch
import torch.nn.functional as F

from facemin.autograd.compile.prelu import prelu_channels

SHAPES = {"map": ((2, 3, 4, 5), 3), "one slope": ((2, 3, 4, 5), 1), "vector": ((4, 3), 3)}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_slopes_are_torchs(name: str, dtype: torch.dtype) -> None:
    shape, channels = SHAPES[name]
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator, dtype=dtype)
    x.view(-1)[0] = 0
    slope = torch.randn(channels, generator=generator, dtype=dtype)
    weight = torch.randn(shape, generator=generator, dtype=dtype)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    made, expected = prelu_channels(ours, slope), F.prelu(theirs, slope)
    assert torch.equal(made, expected)
    (got,) = torch.autograd.grad((made * weight).sum(), ours)
    (wanted,) = torch.autograd.grad((expected * weight).sum(), theirs)
    torch.testing.assert_close(got, wanted)


def test_gradients_of_both_orders() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 3, 2, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    slope = torch.rand(3, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda value: prelu_channels(value, slope), (x,))
    assert torch.autograd.gradgradcheck(lambda value: prelu_channels(value, slope), (x,))


def test_without_a_gradient_nothing_is_kept() -> None:
    assert prelu_channels(torch.ones(1, 2), torch.ones(2)).grad_fn is None

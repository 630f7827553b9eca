"""Purifiers one after the other."""

import pytest
import torch

from facemin.attack import PURIFIERS, GaussianBlur
from facemin.attack.purify.chain import Chain

IMAGES = torch.rand(3, 3, 112, 112, generator=torch.Generator().manual_seed(0))


def test_is_each_after_the_other() -> None:
    both = Chain(purifiers=(PURIFIERS["median-3"], PURIFIERS["blur-1"]))
    expected = PURIFIERS["blur-1"](PURIFIERS["median-3"](IMAGES).clamp(0, 1)).clamp(0, 1)
    assert torch.equal(both(IMAGES), expected)
    assert not torch.equal(both(IMAGES), Chain(purifiers=tuple(reversed(both.purifiers)))(IMAGES))


def test_one_alone_is_no_chain() -> None:
    with pytest.raises(ValueError, match="at least two, got 1"):
        Chain(purifiers=(GaussianBlur(sigma=1.0),))

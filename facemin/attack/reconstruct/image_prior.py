"""A deep image prior: an untrained network, fitted to one image, finds it natural to paint surfaces and edges."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from facemin.attack.training import weights_drawn_from
from facemin.runtime.ranges import ranges

_FIRST = 7
_DOUBLINGS = 4


@dataclass(frozen=True, kw_only=True)
@ranges({"[1, inf)": "width", "(0, 1)": "rate"})
class ImagePrior:
    """How such a network is made.

    Source: Ulyanov et al. 2018 (Deep Image Prior), an untrained decoder on fixed noise; Heckel and Hand 2019 (Deep
    Decoder), one without skips.

    Args:
        width: channels of every layer.
        rate: Adam's step for its weights.

    Raises:
        ValueError: a width below 1, or a rate that is not above 0.
    """

    width: int = 64
    rate: float = 5e-3

    def canvas(self, *, seed: int, device: torch.device) -> PriorCanvas:
        """A network for one image, drawn from a seed."""
        return PriorCanvas(weights_drawn_from(seed, lambda: _Decoder(self.width)).to(device))


class PriorCanvas:
    """One image as what a network makes of its own fixed noise; see `parametrisation.Parametrisation`."""

    def __init__(self, network: _Decoder) -> None:
        self.network = network
        self.weights: list[Tensor] = list(network.parameters())

    def images(self) -> Tensor:
        """(1, 3, 112, 112) in (0, 1), differentiable."""
        image: Tensor = self.network()
        return image

    def settle(self) -> None:
        """The range is kept by a sigmoid."""


class _Decoder(nn.Module):
    noise: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("noise", 0.1 * torch.randn(1, width, _FIRST, _FIRST))
        layers: list[nn.Module] = []
        for _ in range(_DOUBLINGS):
            layers += [
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
                nn.Conv2d(width, width, 3, padding=1, padding_mode="reflect"),
                nn.GroupNorm(1, width),
                nn.LeakyReLU(0.1),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 3, 1), nn.Sigmoid())

    def forward(self) -> Tensor:
        image: Tensor = self.layers(self.noise)
        return image

"""Adversarial watermark after DPG (published as DIP-Watermark): bits for the authorised, another face for the rest.

After Zhang et al., Double Privacy Guard: Robust Traceable Adversarial Watermarking against Face Recognition, 2024, of
which no code, sizes or weights are public: an encoder lays bits over a face so that its features leave the person's,
and a decoder, trained with it, reads them. The layers are those of HiDDeN (Zhu et al., 2018) and StegaStamp (Tancik et
al., 2020), smaller; what is done between encoder and decoder is `ProviderOperations`, whose shift stands for a crop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from facemin.autograd.pixels import to_tensor, to_unit
from facemin.cloak.universal import window
from facemin.face import SIDE

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

_COARSE = 14
_BATCH = 32


class WatermarkNetwork(nn.Module):
    """Encoder and decoder of a watermark.

    Args:
        bits: that it carries.
        width: channels of the encoder; the decoder has up to twice as many.
        epsilon: bound of the change, grey levels.
    """

    def __init__(self, *, bits: int = 32, width: int = 32, epsilon: int = 16) -> None:
        super().__init__()
        if bits < 1 or width < 8 or not 1 <= epsilon <= 32:
            raise ValueError(
                f"WatermarkNetwork: expected at least 1 bit, width of at least 8 and epsilon in [1, 32], got "
                f"{bits}, {width}, {epsilon}"
            )
        self.bits, self.width, self.epsilon = bits, width, epsilon
        self.spread = nn.Linear(bits, 8 * _COARSE * _COARSE)
        self.inwards = _block(3, width, stride=2)
        self.middle = nn.ModuleList([_block(width + 8, width), _block(width, width), _block(width, width)])
        self.outwards = nn.Sequential(_block(width + 3, width // 2), nn.Conv2d(width // 2, 3, 3, padding=1))
        self.read = nn.Sequential(
            _block(3, width, stride=2),
            _block(width, width),
            _block(width, 2 * width, stride=2),
            _block(2 * width, 2 * width),
            _block(2 * width, 2 * width, stride=2),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
            nn.Linear(32 * width, bits),
        )
        self.fade: Tensor
        self.register_buffer("fade", window(6), persistent=False)

    def change(self, faces: Tensor, bits: Tensor) -> Tensor:
        """The watermark of faces (B, 3, 112, 112) in [0, 1] with bits (B, bits) in {0, 1}, within the bound."""
        seen = self.inwards(2 * faces - 1)
        spread = self.spread(2 * bits - 1).view(-1, 8, _COARSE, _COARSE)
        values = torch.cat([seen, F.interpolate(spread, scale_factor=4, mode="bilinear", align_corners=False)], 1)
        for block in self.middle:
            values = block(values)
        fine = F.interpolate(values, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        painted = torch.tanh(self.outwards(torch.cat([fine, 2 * faces - 1], 1)))
        return self.epsilon / 255 * painted * self.fade

    def decode(self, faces: Tensor) -> Tensor:
        """Logits (B, bits) of faces (B, 3, 112, 112) in [0, 1]."""
        logits: Tensor = self.read(2 * faces - 1)
        return logits

    def forward(self, faces: Tensor, bits: Tensor) -> Tensor:
        """Watermarked faces in [0, 1]."""
        return (faces + self.change(faces, bits)).clamp(0, 1)


def _block(given: int, made: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(given, made, 3, stride=stride, padding=1), nn.GroupNorm(8 if made % 8 == 0 else 1, made), nn.SiLU()
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Watermarker:
    """A trained network and one person's bits.

    Attributes:
        network: encoder and decoder.
        identity: the person's bits, (bits,) in {0, 1}.
    """

    product: ClassVar[Literal["photo"]] = "photo"

    network: WatermarkNetwork
    identity: NDArray[np.uint8]

    @classmethod
    def drawn(cls, network: WatermarkNetwork, seed: int) -> Watermarker:
        """Bits drawn with a seed, in [0, 2^128)."""
        dice = np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))
        return cls(network=network, identity=dice.integers(0, 2, network.bits, dtype=np.uint8))

    def changes(self, faces: NDArray[np.uint8]) -> NDArray[np.int16]:
        """What to add to each face (N, 112, 112, 3), grey levels."""
        bits = torch.from_numpy(self.identity).float()
        with torch.no_grad():
            made = [
                self.network.change(part, bits.expand(len(part), -1))
                for part in torch.split(to_unit(to_tensor(faces)), _BATCH)
            ]
        levels = (torch.cat(made) * 255).round().to(torch.int16)
        return np.ascontiguousarray(levels.permute(0, 2, 3, 1).numpy())


def read_bits(network: WatermarkNetwork, faces: Tensor) -> Tensor:
    """Bits (N, bits) in {0, 1} that a decoder reads in faces (N, 3, 112, 112) in [0, 1]."""
    with torch.no_grad():
        return torch.cat([network.decode(part) > 0 for part in torch.split(faces, _BATCH)]).to(torch.uint8)

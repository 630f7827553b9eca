"""Key features of images: the input of every attack that holds a key."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from facemin.autograd.module import OnnxModule
    from facemin.keys.key import Key

BATCH = 32
ROWS_AT_LEAST = 2
"""A lone image is computed as two equal rows: on a CPU a batch of one takes other kernels, whose last bits differ."""


def features_of(key: Key, images: Tensor) -> tuple[Tensor, ...]:
    """Features of images at each of a key's layers, in order, the cut last.

    Args:
        key: whose shallow model is applied.
        images: (B, 3, 112, 112) in [0, 1], plain or protected.

    Returns:
        (B, *shape) each, on the images' device.

    Raises:
        ValueError: images of another shape.
    """
    shallow = on_device(key.shallow, images.device)
    if not len(images):
        return tuple(images.new_zeros(0, *shape) for shape in shallow.output_shapes)
    rows = images if len(images) >= ROWS_AT_LEAST else images.expand(ROWS_AT_LEAST, -1, -1, -1)
    with torch.no_grad():
        parts = [shallow.layers(part) for part in rows.tensor_split(-(-len(rows) // BATCH))]
    return tuple(torch.cat(layer)[: len(images)] for layer in zip(*parts, strict=True))


def on_device(shallow: OnnxModule, device: torch.device) -> OnnxModule:
    """The module itself on the CPU, else a copy of it there: an attack never changes a key."""
    return shallow if device.type == "cpu" else copy.deepcopy(shallow).to(device)


class KeyFeatures(nn.Module):
    """A key as the fixed front of an attacker's network: images (B, 3, 112, 112) in [0, 1] to its cut's features.

    Args:
        key: the key.
    """

    def __init__(self, key: Key) -> None:
        super().__init__()
        # moved and converted with the network that it is part of, which an attack must not do to the key
        self.shallow = copy.deepcopy(key.shallow)
        self.shape = tuple(key.manifest.features)

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, *shape), float32, without a gradient."""
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            features: Tensor = self.shallow(images.float())
        return features

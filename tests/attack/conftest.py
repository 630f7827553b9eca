"""Drawn faces of drawn people, and keys of a real recogniser: small enough to attack in a test."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from facemin.keys.key import Key, export_key
from facemin.models import Recogniser, load_recogniser

SIDE = 112


class Drawn(NamedTuple):
    """Faces (N, 3, 112, 112) on the 8-bit grid, and who is on them."""

    faces: Tensor
    people: Tensor


def draw(people: int, photos: int, *, seed: int) -> Drawn:
    """Ovals with eyes and a mouth before a background: each person has own colours and places, each photo own light."""
    generator = torch.Generator().manual_seed(seed)
    across = torch.linspace(-1, 1, SIDE)
    y, x = across[:, None], across[None]

    def some(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    faces = []
    for _ in range(people):
        skin, hair, eyes, lips = 0.35 + 0.6 * some(3), 0.5 * some(3), 0.7 * some(3), some(3)
        wide, tall, apart, height, mouth = (0.45 + 0.25 * some(1), 0.65 + 0.2 * some(1), *(0.2 + 0.2 * some(3)))
        for _ in range(photos):
            dx, dy = 0.06 * (some(2) - 0.5)
            light = 1 + 0.3 * (some(1) - 0.5) * x
            image = some(3)[:, None, None].expand(3, SIDE, SIDE).clone()
            for inside, colour in (
                (((x - dx) / (wide + 0.12)) ** 2 + ((y - dy + 0.15) / (tall + 0.1)) ** 2 < 1, hair),
                (((x - dx) / wide) ** 2 + ((y - dy) / tall) ** 2 < 1, skin),
                (((x - dx - apart) / 0.11) ** 2 + ((y - dy + height) / 0.06) ** 2 < 1, eyes),
                (((x - dx + apart) / 0.11) ** 2 + ((y - dy + height) / 0.06) ** 2 < 1, eyes),
                (((x - dx) / mouth) ** 2 + ((y - dy - 0.4) / 0.06) ** 2 < 1, lips),
            ):
                image = torch.where(inside, colour[:, None, None], image)
            faces.append((image * light + 0.02 * (some(3, SIDE, SIDE) - 0.5)).clamp(0, 1).mul(255).round() / 255)
    return Drawn(torch.stack(faces), torch.arange(people).repeat_interleave(photos))


@pytest.fixture(scope="session")
def dlib() -> Recogniser:
    return load_recogniser("dlib-resnet29")


@pytest.fixture(scope="session")
def key(dlib: Recogniser) -> Key:
    """The first block's cut; it does not see a face's first rows and outer columns."""
    return export_key(dlib, "conv7", provider="test", residual=0.3)


@pytest.fixture(scope="session")
def deep_key(dlib: Recogniser) -> Key:
    return export_key(dlib, "conv64.4", layers=("conv32.1",), provider="test", residual=0.3)


def seen(images: Tensor) -> Tensor:
    """What dlib looks at of images (B, 3, 112, 112)."""
    return images[:, :, 28:, 12:100]

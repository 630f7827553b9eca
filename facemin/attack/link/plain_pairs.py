"""Training pairs of an attacker who has never seen a protected image (row T5): plain faces made as poor as those are.

Whoever knows only that something noisy and face-like is uploaded can train a student on faces that were blurred,
high-passed or drowned in noise, and hope that what it learns to read is there in protected images too.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch

from facemin.attack.purify.registry import GaussianBlur

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def high_passed(faces: Tensor) -> Tensor:
    """What a blur of 4 px takes away, around mid-grey; (B, 3, H, W) in [0, 1]."""
    return (faces - GaussianBlur(sigma=4.0)(faces) + 0.5).clamp(0, 1)


def blurred(faces: Tensor) -> Tensor:
    """After a blur of 3 px; (B, 3, H, W) in [0, 1]."""
    return GaussianBlur(sigma=3.0)(faces)


def drowned(faces: Tensor) -> Tensor:
    """In Gaussian noise of deviation 0.4, each image's own; (B, 3, H, W) in [0, 1]."""
    return _in_noise(faces, 0.4)


def softened(faces: Tensor) -> Tensor:
    """After a blur of 1 px, in Gaussian noise of deviation 0.1; (B, 3, H, W) in [0, 1]."""
    return _in_noise(GaussianBlur(sigma=1.0)(faces), 0.1)


def _in_noise(faces: Tensor, deviation: float) -> Tensor:
    noise = []
    for face in faces:
        digest = hashlib.sha256(face.mul(255).round().to("cpu", torch.uint8).numpy().tobytes()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        noise.append(torch.randn(face.shape, generator=generator))
    return (faces + deviation * torch.stack(noise).to(faces)).clamp(0, 1) if noise else faces


POOR: dict[str, Callable[[Tensor], Tensor]] = {
    "high-passed": high_passed,
    "blurred": blurred,
    "drowned": drowned,
    "softened": softened,
}
"""How a plain face is made poor, by name; the contrast of a protected image's leak is unknown to the attacker."""

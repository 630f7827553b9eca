"""Surrogates: the recognisers that a cloak is fitted on, as one team of unit embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from facemin.autograd.opening import open_model
from facemin.cloak.mask_file import Surrogate
from facemin.models import DEFAULT_MODEL
from facemin.runtime.device import choose_device, choose_precision

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from facemin.models import Recogniser
    from facemin.runtime.compute import Compute

DEFAULT_TEAM = (DEFAULT_MODEL,)
"""What comes with facemin and may be shipped with it; others are of the user's own model store."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Team:
    """Recognisers on one device.

    Attributes:
        recognisers: at least one.
        device: where they lie.
        precision: that products are computed in.
    """

    recognisers: tuple[Recogniser, ...]
    device: torch.device
    precision: torch.dtype

    @classmethod
    def on(cls, recognisers: Sequence[Recogniser], compute: Compute) -> Team:
        """A team where `compute` says.

        Raises:
            ValueError: no recogniser, or a device that is not there.
        """
        if not recognisers:
            raise ValueError("surrogates: expected at least one recogniser, got none")
        device = choose_device(compute.device)
        return cls(
            recognisers=tuple(each.to(device) for each in recognisers),
            device=device,
            precision=choose_precision(compute.precision, device),
        )

    def __call__(self, faces: Tensor) -> list[Tensor]:
        """Unit embeddings (B, D) float32 by each recogniser of faces (B, 3, 112, 112) in [0, 1]; differentiable."""
        # without gradients weights are laid out for float32, and nothing is gained
        low = self.precision is not torch.float32 and torch.is_grad_enabled()
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=low):
            raw = [each.module(faces).flatten(1) for each in self.recognisers]
        return [F.normalize(row.float()) for row in raw]

    @property
    def described(self) -> tuple[Surrogate, ...]:
        """As a mask's manifest names them."""
        return tuple(Surrogate(name=each.name, fingerprint=each.fingerprint) for each in self.recognisers)


def open_surrogates(names: Sequence[str] = DEFAULT_TEAM) -> tuple[Recogniser, ...]:
    """Open recognisers by name: that of facemin, stored ones, or ONNX files.

    Raises:
        ValueError: none, one twice, or one that is not there.
    """
    if not names or len(set(names)) != len(names):
        raise ValueError(f"surrogates: expected at least one recogniser, each once, got {list(names)}")
    return tuple(open_model(name) for name in names)

"""Training RecFace on an attacker's pairs: level 1 of the paper, and the adaptive attacks that it left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import nn

from facemin.attack.features import KeyFeatures
from facemin.attack.geometry import geometry_of
from facemin.attack.reconstruct.inverter import Inverter
from facemin.attack.training import Fitting, batch_of, fit, weights_drawn_from
from facemin.metrics import ssim
from facemin.runtime.ranges import ranges

if TYPE_CHECKING:
    from typing import Unpack

    from torch import Tensor

    from facemin.attack.geometry import Geometry
    from facemin.attack.training import FitOptions, Pairs
    from facemin.keys.key import Key

_STANDARDISED = 256  # pairs that each channel's mean and deviation are taken from


@dataclass(frozen=True, kw_only=True)
@ranges({"[0, 10]": "structure"})
class InverterTraining:
    """How an inverter is made and trained.

    Args:
        width: of the network, see `Inverter`.
        depth: likewise.
        structure: weight of 1 - SSIM beside the mean absolute error; the paper's equation 1 has neither, but a norm
            that smooths what it cannot tell.
        fitting: epochs, rate and so on.
    """

    width: int = 32
    depth: int = 1
    structure: float = 0.2
    fitting: Fitting = field(default_factory=Fitting)


class KeyInverter(nn.Module):
    """An inverter behind a key: images (B, 3, 112, 112) in [0, 1], plain or protected, to faces of that shape.

    Args:
        front: applies the key.
        inverter: from its features to faces; call it alone where features are what was caught.
    """

    def __init__(self, front: KeyFeatures, inverter: Inverter) -> None:
        super().__init__()
        self.front, self.inverter = front, inverter

    def forward(self, images: Tensor) -> Tensor:
        """Faces in [0, 1]."""
        faces: Tensor = self.inverter(self.front(images))
        return faces


def train_inverter(
    pairs: Pairs,
    *,
    settings: InverterTraining | None = None,
    geometry: Geometry | None = None,
    **run: Unpack[FitOptions],
) -> Inverter:
    """Train an inverter on pairs of (features or image, face).

    Args:
        pairs: index to (input, face): (C, h, w), (C,) or an image (3, 112, 112), and (3, 112, 112) in [0, 1].
        settings: how.
        geometry: where features lie on the face, from `geometry_of`; evenly spread when None.
        **run: see `FitOptions`.

    Raises:
        ValueError: as `fit` and `Inverter` say.
    """
    settings = settings or InverterTraining()
    inverter = _made(_sample(pairs), settings, geometry)
    _fit(inverter, pairs, settings, run)
    return inverter


def train_key_inverter(
    key: Key,
    pairs: Pairs,
    *,
    settings: InverterTraining | None = None,
    **run: Unpack[FitOptions],
) -> KeyInverter:
    """The same from pairs of (image, face), whose features the key makes anew at each step: nothing is stored.

    With plain faces on both sides this is the paper's level 1, and mirroring is right; with protected images it is
    the adaptive attack on protected features.

    Args:
        key: the key.
        pairs: index to (image, face), (3, 112, 112) in [0, 1] or uint8 each.
        settings: how.
        **run: see `FitOptions`.

    Raises:
        ValueError: as `fit` says.
    """
    settings = settings or InverterTraining()
    front = KeyFeatures(key)
    geometry = geometry_of(front.shallow) if len(front.shape) == 3 else None
    network = KeyInverter(front, _made(front(_sample(pairs)), settings, geometry))
    _fit(network, pairs, settings, run)
    return network


def _sample(pairs: Pairs) -> Tensor:
    """Inputs of some pairs, (N, ...) float32."""
    places = torch.linspace(0, len(pairs) - 1, min(len(pairs), _STANDARDISED)).long().tolist()
    inputs, faces = batch_of(pairs, places, torch.device("cpu"))
    if tuple(faces.shape[1:]) != (3, 112, 112):
        raise ValueError(f"pairs: expected faces (3, 112, 112), got {tuple(faces.shape[1:])}")
    return inputs


def _made(inputs: Tensor, settings: InverterTraining, geometry: Geometry | None) -> Inverter:
    def make() -> Inverter:
        return Inverter(tuple(inputs.shape[1:]), geometry=geometry, width=settings.width, depth=settings.depth)

    inverter = weights_drawn_from(settings.fitting.seed, make)
    inverter.standardise(inputs)
    return inverter


def _fit(
    network: nn.Module,
    pairs: Pairs,
    settings: InverterTraining,
    run: FitOptions,
) -> None:
    def loss(faces: Tensor, targets: Tensor) -> Tensor:
        error = (faces - targets).abs().mean((1, 2, 3))
        if not settings.structure:
            return error
        return error + settings.structure * (1 - ssim(faces.clamp(0, 1), targets))

    fit(
        network,
        pairs,
        settings=settings.fitting,
        loss=loss,
        score=ssim,
        **run,
    )

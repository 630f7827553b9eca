"""Networks that carriers are made for: what they see of a frame, and what of it has to be the pseudonym's."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from facemin.autograd.distance import relative_distance
from facemin.autograd.module import OnnxModule
from facemin.keys.default import DEFAULT_SPACE
from facemin.models import SPACE_MODEL, dlib_resnet
from facemin.models.registry import shipped_space
from facemin.protection.carrier.canvas import aligned_crop, crop_of
from facemin.runtime.device import choose_precision

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from facemin.keys.key import Key
    from facemin.runtime.compute import Precision

    Crop = NDArray[np.float64]

CHIP_CENTRE, CHIP_WIDTH = (256.5, 274.0), 284.0
"""Where dlib cuts its 150-px chip out of the frame, by its own detector and five landmarks: means over 40 bases
(deviations 2, 6 and 12 px); experiments/carrier/chips.py."""
RADIUS = 0.57
"""Distance of a carrier's dlib embedding from the mean embedding. It sets how near two carriers of one person are
under the distance of 0.6 that dlib's users decide by, which knows no pseudonyms. Chosen on people of `choose`."""
FLATTEN = 0.25
"""Power by which the whitening of the space is undone: 1 gives the space's own targets, 0 equal distances in every
direction of dlib's embeddings, so that whoever compares them as they are finds people as well as in the space."""


class Network(Protocol):
    """A network on crops of the frame."""

    @property
    def views(self) -> tuple[tuple[Crop, int], ...]:
        """Crops, and their sides in pixels, of which one serves a step."""
        ...

    def wanted(self, bases: Tensor, target: Tensor) -> Tensor:
        """What shall be seen in carriers of targets (B, D), whose bases' crops (B, 3, S, S) are of one view, (B, E)."""
        ...

    def missing(self, crops: Tensor, wanted: Tensor) -> Tensor:
        """How far crops (B, 3, S, S) in [0, 1] are from what is wanted, as a share of a target's length, (B,)."""
        ...


@dataclass(frozen=True, kw_only=True)
class KeyNetwork:
    """A key's network on the 112-px crop that every holder of the key makes.

    Args:
        key: with a space.
        dtype: of the computation.
    """

    key: Key = field(repr=False)
    dtype: torch.dtype = torch.float32
    views: tuple[tuple[Crop, int], ...] = field(default_factory=lambda: ((aligned_crop(), 112),), repr=False)
    module: OnnxModule = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "module", _cast(self.key.shallow, self.dtype))

    def wanted(self, bases: Tensor, target: Tensor) -> Tensor:  # noqa: ARG002 - the same on every base
        """See `Network`."""
        return target

    def missing(self, crops: Tensor, wanted: Tensor) -> Tensor:
        """See `Network`."""
        (features,) = self.module.layers(crops.to(self.dtype))
        return relative_distance(features.float(), wanted)


@dataclass(frozen=True, kw_only=True)
class DlibNetwork:
    """Dlib's ResNet-29 as its own users crop, and in its own embeddings, whose plain distance they decide by.

    Args:
        dtype: of the computation.
    """

    dtype: torch.dtype = torch.float32
    views: tuple[tuple[Crop, int], ...] = field(
        default_factory=lambda: ((crop_of(CHIP_CENTRE, CHIP_WIDTH), dlib_resnet.CHIP), (aligned_crop(), 112)),
        repr=False,
    )

    def wanted(self, bases: Tensor, target: Tensor) -> Tensor:
        """The target's place among dlib's embeddings, and of the base what the space does not see.

        That is alike in both carriers of a person and unlike in those of others, and needs no change of the picture.
        """
        mean, spread = (torch.from_numpy(each) for each in dlib_map())
        with torch.no_grad():
            beside = self.embedded(bases) - mean
            inside = torch.linalg.qr(spread).Q
            place: Tensor = mean + target @ spread.T + beside - beside @ inside @ inside.T
        return place

    def missing(self, crops: Tensor, wanted: Tensor) -> Tensor:
        """See `Network`."""
        share: Tensor = (self.embedded(crops) - wanted).norm(dim=1) / RADIUS
        return share

    def embedded(self, crops: Tensor) -> Tensor:
        """Dlib's own embeddings of crops (B, 3, S, S) of one of the views, (B, 128)."""
        if crops.shape[-1] == dlib_resnet.FACE:
            # what facemin's own graph of this network makes of a 112-px face
            columns, rows = (torch.from_numpy(dlib_resnet.resampling(at)) for at in dlib_resnet.WINDOW_CENTRE)
            crops = rows.to(crops) @ crops @ columns.to(crops).T
        chips = crops * (255 / 256) - torch.tensor(dlib_resnet.MEAN, dtype=crops.dtype).view(3, 1, 1) / 256
        embedding: Tensor = _dlib(self.dtype)(chips.to(self.dtype)).float()
        return embedding


def networks(keys: tuple[Key, ...], precision: Precision) -> tuple[Network, ...]:
    """What each key's carriers are recognised by, gradients in a precision of `runtime.device.choose_precision`.

    Dlib's wide convolutions are faster in bfloat16 on processors without matrix units too (8 ms for 15 on AVX-512).
    """
    dtype = choose_precision(precision, torch.device("cpu"))
    multiplies = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    of_dlib = torch.bfloat16 if precision == "auto" and multiplies is not None and multiplies() else dtype
    return tuple(DlibNetwork(dtype=of_dlib) if is_dlib(key) else KeyNetwork(key=key, dtype=dtype) for key in keys)


def is_dlib(key: Key) -> bool:
    """Whether a key's space is that of the default key, whose network many services run as it comes."""
    return key.space is not None and key.space.id.hex() == DEFAULT_SPACE


@cache
def dlib_map() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where a target of the default space lies among dlib's embeddings: mean (128,), and matrix (128, 66)."""
    fitted, _ = shipped_space(SPACE_MODEL)
    left, sizes, right = np.linalg.svd(np.asarray(fitted.matrix, np.float64), full_matrices=False)
    spread = right.T @ np.diag(sizes**-FLATTEN) @ left.T
    spread *= RADIUS * np.sqrt(spread.shape[1]) / np.linalg.norm(spread)
    return np.asarray(fitted.mean, np.float32), spread.astype(np.float32)


@cache
@torch.inference_mode(mode=False)
def _dlib(dtype: torch.dtype) -> OnnxModule:
    return OnnxModule(dlib_resnet.chip_graph()).eval().to(dtype)


def _cast(shallow: OnnxModule, dtype: torch.dtype) -> OnnxModule:
    if dtype == torch.float32:
        return shallow
    # made in inference mode, it could never be differentiated through
    with torch.inference_mode(mode=False):
        return copy.deepcopy(shallow).to(dtype)

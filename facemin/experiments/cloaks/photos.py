"""Photos of an experiment's people cloaked at their own resolution, and uncloaked in every way that is measured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from facemin.attack.purify.registry import PURIFIERS
from facemin.autograd.pixels import to_array, to_tensor, to_unit
from facemin.cloak.lay import lay
from facemin.cloak.registration import register
from facemin.cloak.visible_change import dsim
from facemin.experiments.cloaks.people import cut
from facemin.face import Detector, nearest_to_centre
from facemin.metrics import psnr, ssim

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray
    from torch import Tensor

    from facemin.evaluation.networks import Distance
    from facemin.experiments.cloaks.people import Photographs
    from facemin.image import Pixels


@dataclass(frozen=True, kw_only=True, eq=False)
class Photos:
    """The faces that a cloak is measured on, all (N, T, 112, 112, 3) uint8.

    Attributes:
        plain: of the people, as in `Photographs.faces`.
        cloaked: cut out of the photos after the change was laid over them.
        removed: cut out after it was taken away again, by name of how; probes alone, (N, probes, ...).
        probes: places of the probes among T.
        enrolled: place of the enrolled photo among T.
    """

    plain: Pixels
    cloaked: Pixels
    removed: dict[str, Pixels]
    probes: slice
    enrolled: int

    @cached_property
    def quality(self) -> tuple[Tensor, Tensor]:
        """Cloaked and plain probes as tensors (N * probes, 3, 112, 112)."""
        return unit(self.cloaked[:, self.probes]), unit(self.plain[:, self.probes])


def unit(faces: Pixels) -> Tensor:
    """Faces (..., 112, 112, 3) as (N, 3, 112, 112) in [0, 1]."""
    return to_unit(to_tensor(faces.reshape(-1, *faces.shape[-3:])))


def cloaked_photos(data: Photographs, changes: Sequence[NDArray[Any]], *, removing: int) -> Photos:
    """Lay changes over photos, and take masks off again.

    Args:
        data: the people.
        changes: of the first people, each (T, 112, 112, 3), or (1, 112, 112, 3) for a mask.
        removing: of how many people masks are taken away as well, see `uncloaked`.
    """
    first, taken = data.fit + 1, data.faces.shape[1]
    cloaked: list[Pixels] = []
    removed: list[dict[str, Pixels]] = []
    detector = Detector(threads=1)
    for person, own in enumerate(changes):
        points = data.points[person]
        each = np.broadcast_to(own, (taken, *own.shape[1:]))
        laid = [
            lay(photo, change[None], where[None])
            for photo, change, where in zip(data.photos[person], each, points, strict=True)
        ]
        cloaked.append(cut(np.stack(laid), points))
        if person < removing:
            off = [uncloaked(laid[at], own[0], points[at], detector) for at in range(first, taken)]
            removed.append({way: cut(np.stack([each[way] for each in off]), points[first:]) for way in off[0]})
    return Photos(
        plain=data.faces[: len(changes)],
        cloaked=np.stack(cloaked),
        removed={way: np.stack([own[way] for own in removed]) for way in (removed[0] if removed else ())},
        probes=slice(first, taken),
        enrolled=data.fit,
    )


def uncloaked(
    photo: Pixels, change: NDArray[Any], points: NDArray[np.float32], detector: Detector
) -> dict[str, Pixels]:
    """A photo (H, W, 3) that a mask was laid over at `points`, (5, 2), without it, by name of how it was taken off.

    At those very points; where another detector finds the face; where the mask is found by registration from there, as
    `facemin cloak remove` does without a record; and after JPEG.
    """
    faces = detector(photo)
    anew = nearest_to_centre(faces, *photo.shape[:2]).points if faces else points
    lossy, poor = (to_array(PURIFIERS[name](to_unit(to_tensor(photo[None]))))[0] for name in ("jpeg-90", "jpeg-75"))
    ways: dict[str, tuple[Pixels, NDArray[np.floating]]] = {
        "removed": (photo, points),
        "removed, another detector": (photo, anew),
        "removed, registered": (photo, register(photo, change, anew).points),
        "removed after jpeg-90": (lossy, points),
        "removed after jpeg-75, registered": (poor, register(poor, change, anew).points),
    }
    return {name: lay(seen, change[None], where[None], remove=True) for name, (seen, where) in ways.items()}


def quality(photos: Photos, distance: Distance | None) -> dict[str, Tensor]:
    """How alike cloaked and plain probes look: `ssim`, `dsim`, `psnr` and a network's `distance`, (N,) each."""
    cloaked, plain = photos.quality
    measures = {
        "ssim": ssim(cloaked, plain, window="gaussian"),
        "dsim": dsim(cloaked, plain),
        "psnr": psnr(cloaked, plain),
    }
    return measures if distance is None else measures | {"distance": distance(cloaked, plain)}

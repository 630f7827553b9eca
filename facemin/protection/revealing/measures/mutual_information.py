"""Mutual information of an image's and a face's pixels in excess of the mean face's and a stranger's, in nats.

It finds what no correlation does: a face whose pixels were each mapped by any function, also by one that takes two
greys to one. The face's own turned forms stand for the stranger: equally smooth, and elsewhere.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from facemin.protection.revealing.measures.image_planes import halved, mean_face, planes_of, turned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facemin.protection.revealing.measures.image_planes import Planes

BINS = 12
STRANGER = 1.5
"""Times the information that an image has on a stranger is none on the person."""


def excess_information(shown: Planes, plain: Planes, limit: float) -> float:
    """The most that any plane says of the face, in one of its turned forms.

    Args:
        shown: planes of the image, (N, 112, 112).
        plain: luminance of the face, (112, 112).
        limit: below it, what is said is not compared with what is said of the mean face.
    """
    worst = 0.0
    for images, faces, means in zip(_samples(shown), _samples(turned(plain)), _mean_samples(), strict=True):
        rows = _members(images)
        own = _shared(rows, _members(faces))
        excess = own.max(1) - STRANGER * np.maximum(np.median(own, 1), 0)
        if excess.max() >= limit:
            excess = np.minimum(excess, own.max(1) - STRANGER * _shared(rows, means).max(1))
        worst = max(worst, float(excess.max()))
    return worst


def _shared(images: Planes, faces: Planes) -> Planes:
    """Information of each image on each face, (N, M), of members as rows."""
    joint = (images @ faces.T).reshape(len(images) // BINS, BINS, -1, BINS).swapaxes(1, 2)
    return _information(joint / images.shape[-1], images.shape[-1])


def _samples(planes: Planes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Bins of every second pixel, and of averages of 2 x 2: (N, 3136) each."""
    return tuple(np.stack([_binned(plane) for plane in part]) for part in (planes[..., ::2, ::2], halved(planes)))  # type: ignore[return-value]


@cache
def _mean_samples() -> tuple[Planes, Planes]:
    return tuple(_members(part) for part in _samples(turned(planes_of(mean_face())[3])))  # type: ignore[return-value]


def _binned(plane: Planes) -> NDArray[np.uint8]:
    """Pixels' bins of about equal count."""
    levels = plane.clip(0, 255).astype(np.uint8).ravel()
    below = np.cumsum(np.bincount(levels, minlength=256)) - 1
    return (below * BINS // levels.size).astype(np.uint8)[levels]


def _members(bins: NDArray[np.uint8]) -> Planes:
    """Whether each pixel is in each bin, (N BINS, pixels)."""
    there = bins[:, None] == np.arange(BINS, dtype=np.uint8)[:, None]
    return np.asarray(there.reshape(-1, bins.shape[-1]), np.float32)


def _information(joint: Planes, count: int) -> Planes:
    """Of joint shares (..., BINS, BINS), less what so many independent pixels would show."""
    apart = joint.sum(-1, keepdims=True) * joint.sum(-2, keepdims=True)
    logarithms = np.log(np.maximum(joint, 1e-12) / np.maximum(apart, 1e-12))
    return np.asarray((joint * logarithms).sum((-1, -2)) - (BINS - 1) ** 2 / (2 * count))

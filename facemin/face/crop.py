"""Aligned crops of a photo: faces found, one chosen, pixels cut."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facemin.face.align import SIDE, TEMPLATE, align, inside
from facemin.face.detect import Face
from facemin.image import MAX_PIXELS, Photo, decode
from facemin.runtime.errors import NoFace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facemin.face.detect import Detector
    from facemin.face.sample import Floats
    from facemin.image import Pixels, Source

EDGE = 0.75
"""Least share of a face's crop that must lie in the photo; below it, recognisers see mostly border."""


@dataclass(frozen=True, kw_only=True)
class Faces:
    """The faces of a photo.

    Attributes:
        faces: largest first.
        inside: of each, the share of its crop that lies in the photo, in [0, 1], at least `EDGE`.
        at_edge: faces of which less lies in the photo.
    """

    faces: tuple[Face, ...]
    inside: tuple[float, ...]
    at_edge: tuple[Face, ...]

    @property
    def points(self) -> Floats:
        """Landmarks of `faces`, (N,5,2)."""
        return np.array([face.points for face in self.faces], np.float32).reshape(-1, 5, 2)


def is_aligned(pixels: Pixels) -> bool:
    """Whether an image has the size of an aligned face, 112 x 112, and is taken for one."""
    return pixels.shape == (SIDE, SIDE, 3)


def faces_in(pixels: Pixels, detector: Detector) -> Faces:
    """The faces of a photo, those at its edge apart.

    Raises:
        ValueError: not a uint8 RGB photo (H,W,3).
    """
    found = detector(pixels)
    points = np.array([face.points for face in found], np.float32).reshape(-1, 5, 2)
    shares = inside(points, *pixels.shape[:2]).tolist()
    kept = [(face, share) for face, share in zip(found, shares, strict=True) if share >= EDGE]
    return Faces(
        faces=tuple(face for face, _ in kept),
        inside=tuple(share for _, share in kept),
        at_edge=tuple(face for face, share in zip(found, shares, strict=True) if share < EDGE),
    )


def the_aligned(pixels: Pixels, *, name: str) -> Faces:
    """An image that is an aligned face already, as the only face of itself.

    Raises:
        ValueError: another size.
    """
    if not is_aligned(pixels):
        raise ValueError(
            f"{name}: expected an aligned face of {SIDE} x {SIDE}, got {pixels.shape[1]} x {pixels.shape[0]}"
        )
    whole = Face(box=(0.0, 0.0, float(SIDE), float(SIDE)), score=1.0, points=TEMPLATE.astype(np.float32))
    return Faces(faces=(whole,), inside=(1.0,), at_edge=())


def nearest_to_centre(faces: Sequence[Face], height: int, width: int) -> Face:
    """Of the faces in a photo of that size, that whose landmarks lie nearest to its centre: whom portraits show."""
    middle = np.array([width - 1, height - 1]) / 2
    return min(faces, key=lambda face: float(np.hypot(*(face.points.mean(0) - middle))))


def crop(source: Source | Photo, detector: Detector, *, max_pixels: int = MAX_PIXELS) -> Pixels:
    """The aligned face of a file: itself where it has that size, else its largest face.

    Args:
        source: as `decode` takes it, or what it gave.
        detector: finds the faces.
        max_pixels: most pixels that a photo may have.

    Returns:
        uint8 RGB (112,112,3).

    Raises:
        ValueError: an unreadable file, or a photo without a face.
        OSError: a path that cannot be opened.
    """
    pixels = source.pixels if isinstance(source, Photo) else decode(source, max_pixels=max_pixels).pixels
    points = largest(pixels, detector, name="photo" if isinstance(source, Photo) else str(source))
    return pixels if points is None else align(pixels, points)[0]


def largest(pixels: Pixels, detector: Detector, *, name: str) -> Floats | None:
    """Landmarks (1,5,2) of a photo's largest face; None for an image that is an aligned face already.

    Raises:
        ValueError: no face.
    """
    if is_aligned(pixels):
        return None
    faces = detector(pixels)
    if not faces:
        raise NoFace(f"{name}: expected a photo with a face, found none")
    return faces[0].points[None]

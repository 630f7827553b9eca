"""One person's photos gathered for a fit: faces cut out, photos without one named, faces unlike the others noted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from facemin.cloak.folder import OURS
from facemin.face import SIDE, Detector, align, is_aligned, nearest_to_centre
from facemin.image import decode, describe
from facemin.models.store import calibration_of
from facemin.protection.folder.inputs import photos_among
from facemin.protection.result import Failure
from facemin.runtime.errors import NoFace, in_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from facemin.image import Skipped
    from facemin.models import RecogniserGraph

FAR = 1e-2
"""Whose threshold decides whether a photo looks like the same person."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FaceCollection:
    """A person's faces.

    Attributes:
        faces: aligned, uint8 RGB (N, 112, 112, 3).
        sources: the photos they come from.
        failures: photos and folders that gave none.
        notes: what a person should know, in words.
    """

    faces: NDArray[np.uint8]
    sources: list[Path]
    failures: list[Failure]
    notes: list[str]


def person_photos(
    inputs: Iterable[Path], recogniser: RecogniserGraph, *, whom: Literal["largest", "centre"], max_pixels: int
) -> FaceCollection:
    """Cut one face out of each photo.

    Args:
        inputs: photos and folders.
        recogniser: says who looks like somebody else, where its thresholds are known.
        whom: which face, where a photo shows several.
        max_pixels: most pixels that a photo may have.
    """
    failures: list[Failure] = []
    skipped: list[Skipped] = []
    sources: list[Path] = []
    faces: list[NDArray[np.uint8]] = []
    detector = Detector()
    for source, _ in photos_among(inputs, ours=OURS, failures=failures, skipped=skipped):
        try:
            faces.append(_face(source, detector, whom, max_pixels))
            sources.append(source)
        except (OSError, ValueError) as error:
            failures.append(Failure(name=str(source), reason=in_words(error).removeprefix(f"{source}: ")))
    stacked = np.stack(faces) if faces else np.empty((0, SIDE, SIDE, 3), np.uint8)
    notes = [*_strangers(stacked, sources, recogniser), *(f"not learnt from: {line}" for line in describe(skipped))]
    return FaceCollection(faces=stacked, sources=sources, failures=failures, notes=notes)


def _face(source: Path, detector: Detector, whom: str, max_pixels: int) -> NDArray[np.uint8]:
    pixels = decode(source, max_pixels=max_pixels).pixels
    if is_aligned(pixels):
        return pixels
    found = detector(pixels)
    if not found:
        raise NoFace(f"{source}: expected a photo with a face, found none")
    face = found[0] if whom == "largest" else nearest_to_centre(found, *pixels.shape[:2])
    aligned: NDArray[np.uint8] = align(pixels, face.points[None])[0]
    return aligned


def _strangers(faces: NDArray[np.uint8], sources: list[Path], recogniser: RecogniserGraph) -> list[str]:
    """Photos that are like fewer than half of the others: a mask learnt from two people suits neither."""
    calibration = calibration_of(recogniser)
    if calibration is None or len(faces) < 3:
        return []
    rows = recogniser.embed(faces)
    alike = (rows @ rows.T >= calibration.threshold(FAR).threshold).sum(1) - 1
    return [
        f"{source}: looks like {count} of the other {len(faces) - 1} photos alone; is it the same person?"
        for source, count in zip(sources, alike.tolist(), strict=True)
        if count < (len(faces) - 1) / 2
    ]

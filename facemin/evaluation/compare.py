"""Verification of two files: a probe, protected or plain, against an enrolment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facemin.face import Detector, align_unrounded
from facemin.face.crop import largest
from facemin.image import MAX_PIXELS, decode
from facemin.keys.default import plain_key
from facemin.models.calibration import Threshold
from facemin.models.store import calibration_of
from facemin.protection import decode_feature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from facemin.keys.manifest import Manifest
    from facemin.models import RecogniserGraph

FEATURES = ".safetensors"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a recogniser says of two faces."""

    model: str
    cosine: float
    threshold: float | None
    """None when none was calibrated and none was given."""
    accepted: bool | None
    """Whether the cosine reaches the threshold; None without one."""
    calibration: Threshold | None
    """Where the threshold comes from; None for one that the caller gave."""


def verify(
    probe: Path,
    enrolment: Path,
    *,
    recogniser: RecogniserGraph,
    far: float = 1e-3,
    threshold: float | None = None,
    manifest: Manifest | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Verdict:
    """Compare two files with a recogniser.

    Args:
        probe: an image of 112 x 112, taken as an aligned face, protected or not; any other photo, whose largest
            face is aligned; or an uploaded feature (`.safetensors`).
        enrolment: likewise.
        recogniser: the provider's, whole.
        far: false accept rate whose calibrated threshold decides.
        threshold: decides instead, a cosine in [-1, 1].
        manifest: of the key that uploaded features are for; the default key's when None.
        max_pixels: most pixels that a photo may have.

    Raises:
        ValueError: an unreadable file, a photo without a face, or a FAR that was not calibrated.
    """
    if threshold is not None and not -1 <= threshold <= 1:
        raise ValueError(f"threshold: expected a cosine in [-1, 1], got {threshold}")
    if manifest is None and FEATURES in (probe.suffix.lower(), enrolment.suffix.lower()):
        manifest = plain_key().manifest
    detector = Detector()
    first, second = (
        embed_file(path, recogniser, detector, manifest, max_pixels=max_pixels) for path in (probe, enrolment)
    )
    cosine = float(first @ second)
    calibration = None
    if threshold is None:
        measured = calibration_of(recogniser)
        calibration = None if measured is None else measured.threshold(far)
        threshold = None if calibration is None else calibration.threshold
    return Verdict(
        model=recogniser.name,
        cosine=cosine,
        threshold=threshold,
        accepted=None if threshold is None else cosine >= threshold,
        calibration=calibration,
    )


def embed_file(
    path: Path,
    recogniser: RecogniserGraph,
    detector: Detector,
    manifest: Manifest | None,
    *,
    max_pixels: int = MAX_PIXELS,
) -> NDArray[np.float64]:
    """The unit embedding (D,) of a file; see `verify` for what it may be."""
    if path.suffix.lower() == FEATURES and manifest is not None:
        if manifest.recogniser != recogniser.name:
            raise ValueError(
                f"{path}: expected a key of {recogniser.name}, got one of {manifest.recogniser} (--key, --model)"
            )
        feature = decode_feature(path.read_bytes(), manifest, name=str(path))
        (row,) = recogniser.embed_values(feature[None], cut=manifest.cut)
    else:
        (row,) = recogniser.embed_values(load_face(path, detector, max_pixels=max_pixels)[None])
    return np.asarray(row)


def load_face(path: Path, detector: Detector, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.float32]:
    """The aligned face (3, 112, 112) in [0, 1] of a file: itself where it has that size, else its largest face.

    Raises:
        ValueError: an unreadable file, or a photo without a face.
    """
    pixels = decode(path, max_pixels=max_pixels).pixels
    points = largest(pixels, detector, name=str(path))
    face = pixels.astype(np.float32) / np.float32(255) if points is None else align_unrounded(pixels, points)[0]
    return np.ascontiguousarray(face.transpose(2, 0, 1))

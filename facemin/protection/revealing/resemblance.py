"""Resemblance of a protected image to its plain face: correlation, inversion, mutual information, grey levels, PSNR.

Each measure is compared with a limit in `LIMITS`, which `experiments/keys/revealing.py` sets on some people and holds
to honest and hostile keys on others. What any face has in common is taken out first, so that only likeness in excess of
the mean face's counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from facemin.image import Pixels
from facemin.protection.revealing.linear_inversion import inverted_correlations
from facemin.protection.revealing.measures.grey_levels import level_nearness
from facemin.protection.revealing.measures.image_planes import SIDE, doubled, halved, mean_face, planes_of, unit
from facemin.protection.revealing.measures.local_contrast import contrast_correlation
from facemin.protection.revealing.measures.mutual_information import excess_information
from facemin.protection.revealing.measures.partial_correlation import correlations, remainders
from facemin.protection.revealing.measures.template_match import matches
from facemin.protection.revealing.measures.whitened_correlation import whitened_correlation

__all__ = ["LIMITS", "SIDE", "Likeness", "Pixels", "likenesses", "mean_face"]

LIMITS: dict[str, float] = {
    "correlation at 112 px": 0.08,
    "correlation at 56 px": 0.28,
    "correlation at 56 px, detail": 0.18,
    "correlation at 28 px": 0.38,
    "correlation at 28 px, detail": 0.34,
    "correlation at 14 px": 0.52,
    "correlation after a median, 56 px": 0.19,
    "correlation after a median, 28 px": 0.25,
    "correlation after rearranging, 56 px": 0.28,
    "correlation after rearranging, 28 px": 0.40,
    "correlation in a window": 0.35,
    "whitened correlation, 56 px": 0.11,
    "correlation of local contrast, 28 px": 0.43,
    "correlation after inverting 4 tiles": 0.17,
    "correlation after inverting blocks of 4 px": 0.17,
    "correlation after inverting blocks of 7 px": 0.25,
    "correlation after inverting blocks of 8 px": 0.33,
    "correlation after inverting 64 tiles": 0.41,
    "template of 96 px": 0.40,
    "template of 84 px": 0.42,
    "template of 72 px": 0.45,
    "template of 64 px": 0.48,
    "template of 56 px": 0.50,
    "template of 48 px": 0.54,
    "template of 40 px": 0.60,
    "template of 34 px": 0.68,
    "template of 28 px": 0.76,
    "mutual information, nats": 0.10,
    "nearness of one colour's grey levels": 60.0,
    "nearness of all colours' grey levels": 23.0,
    "PSNR above the mean face's, dB": 3.0,
}
"""Least value of each measure that shows the face.

1.5 times the highest honest value of people not reported on; but templates and PSNR have to beat the mean face's, and
grey levels noise's, which is what decides there.
"""

LEVELS = ("nearness of one colour's grey levels", "nearness of all colours' grey levels")
PSNR_AT_LEAST = 16.0


class Likeness(NamedTuple):
    """How strongly one measure found the face."""

    measure: str
    value: float
    limit: float

    @property
    def share(self) -> float:
        """Of its limit; 1 and more shows the face."""
        return self.value / self.limit


def likenesses(pixels: Pixels, face: Pixels, *, limits: dict[str, float] = LIMITS) -> list[Likeness]:
    """Every measure of how much of a face an image shows, the strongest first.

    Args:
        pixels: the protected image, uint8 (112, 112, 3).
        face: the plain face, likewise.
        limits: others, to find them.

    Raises:
        ValueError: another shape or type.
    """
    for name, image in (("pixels", pixels), ("face", face)):
        if image.shape != (SIDE, SIDE, 3) or image.dtype != np.uint8:
            raise ValueError(f"{name}: expected uint8 (112, 112, 3), got {image.dtype} {image.shape}")
    shown, plain = planes_of(pixels), planes_of(face)
    rest = remainders(plain)
    contrast, information = "correlation of local contrast, 28 px", "mutual information, nats"
    found = {
        **correlations(shown, pixels, plain, rest, limits),
        **inverted_correlations(shown[:3], rest),
        "whitened correlation, 56 px": whitened_correlation(shown[3], plain[3]),
        contrast: contrast_correlation(shown[:4], plain[3], limits[contrast]),
        **matches(shown[:4], plain[3], limits),
        information: excess_information(shown[:4], plain[3], limits[information]),
        **dict(zip(LEVELS, level_nearness(pixels, face), strict=True)),
        "PSNR above the mean face's, dB": _psnr_excess(shown[:3], plain[:3]),
    }
    each = [Likeness(name, value, limits[name]) for name, value in found.items()]
    return sorted(each, key=lambda likeness: -likeness.share)


def _psnr_excess(shown: np.ndarray, plain: np.ndarray) -> float:
    """How much nearer to the face the image is than the mean face, raw or averaged; 0 for what is far from both."""
    half = halved(shown)
    versions = (shown, doubled(half), doubled(doubled(halved(half))))
    error = min(float(np.square(each - plain).mean()) for each in versions)
    # the mean face as light, as strong and as coloured as this one
    mean = unit(planes_of(mean_face())[:3])
    rows = plain.reshape(3, -1) - plain.mean((1, 2))[:, None]
    base = float(np.square(rows - (rows * mean).sum(1, keepdims=True) * mean).mean())
    best, other = (10 * np.log10(255**2 / max(each, 1e-3)) for each in (error, base))
    return float(best - other) if best >= PSNR_AT_LEAST else 0.0

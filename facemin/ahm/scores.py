"""AHM's scores: four of privacy, their weighted sum, and one of classification.

Source: AHM (Wang et al. 2024) is known to combine four scores, two of what an eye sees and two of what an attack
finds, with weights 0.4 and 0.6; what the four are is not public. These are ours: compare no sum with the paper's.
Read the raw values first: a weighted sum hides which of them is bad.
"""

from dataclasses import dataclass

from facemin.runtime.ranges import ranges

VISUAL_WEIGHT = 0.4
ATTACK_WEIGHT = 0.6

PSNR_FLOOR = 5.0
PSNR_CEILING = 40.0
"""Decibels at which an image counts as wholly hidden and as wholly shown."""


@dataclass(frozen=True, kw_only=True)
@ranges({"[0, 1]": "identity rank_one accuracy", "[-1, 1]": "ssim", "(-inf, inf)": "psnr"})
class RawScores:
    """What was measured, in its own units.

    Args:
        ssim: of what is stored or sent, shown as an image, with the face; in [-1, 1].
        psnr: likewise, dB.
        identity: share of reconstructions, by the attack that does best, that an independent recogniser takes for the
            person at its threshold; in [0, 1].
        rank_one: share of reconstructions, by model inversion, whose person it finds among all candidates first.
        accuracy: of the recogniser on people it never saw, by pairs; in [0, 1].

    Raises:
        ValueError: a value outside its range.
    """

    ssim: float
    psnr: float
    identity: float
    rank_one: float
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class Scores:
    """All in [0, 1], higher is better for the defender; beside them, what they were made of."""

    s1: float
    """Visual: 1 - SSIM, an SSIM below 0 counting as 0."""
    s2: float
    """Visual: PSNR, from 40 dB (0) to 5 dB (1)."""
    s3: float
    """Attack: 1 - identity."""
    s4: float
    """Attack: 1 - rank one."""
    privacy: float
    """0.4 times the mean of s1 and s2 plus 0.6 times that of s3 and s4."""
    classification: float
    """Accuracy from chance, one half (0), to 1."""
    raw: RawScores


def ahm_scores(raw: RawScores) -> Scores:
    """Scores of raw values.

    Example:
        >>> ahm_scores(RawScores(ssim=0.5, psnr=22.5, identity=0.25, rank_one=0.75, accuracy=0.9)).privacy
        0.5
    """
    s1 = 1 - max(0.0, raw.ssim)
    s2 = min(1.0, max(0.0, (PSNR_CEILING - raw.psnr) / (PSNR_CEILING - PSNR_FLOOR)))
    s3, s4 = 1 - raw.identity, 1 - raw.rank_one
    privacy = VISUAL_WEIGHT * (s1 + s2) / 2 + ATTACK_WEIGHT * (s3 + s4) / 2
    return Scores(
        s1=s1,
        s2=s2,
        s3=s3,
        s4=s4,
        privacy=privacy,
        classification=max(0.0, 2 * raw.accuracy - 1),
        raw=raw,
    )

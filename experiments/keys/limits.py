"""Limits of the measures of likeness, from the values that honest images have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from facemin.protection.revealing.check import JUDGE
from facemin.protection.revealing.linear_inversion import inverted_correlations
from facemin.protection.revealing.measures.grey_levels import LUMINANCE, grey_levels, nearness
from facemin.protection.revealing.measures.image_planes import planes_of
from facemin.protection.revealing.measures.partial_correlation import remainders
from facemin.protection.revealing.resemblance import LEVELS, LIMITS, likenesses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from facemin.image import Pixels


MARGIN = 1.5
STRANGERS = 4
"""Other people's faces that each image's inversions are compared with."""


def honest_values(groups: Iterable[tuple[Pixels, Pixels]], others: Pixels) -> dict[str, list[float]]:
    """Every measure's values of images beside their own faces; those whose chance has long tails beside others' too.

    Of inversions these are some faces of the same group; of grey levels, which cost less, many more, in black and white
    too, where three colours say what one says.

    Args:
        groups: images and faces, uint8 (N, 112, 112, 3) each.
        others: more faces for grey levels, likewise.
    """
    low = {name: limit / 2 for name, limit in LIMITS.items()}
    found: dict[str, list[float]] = {name: [] for name in LIMITS}
    beside = [grey_levels(each) for face in others for each in (face, greyed(face))]
    for images, faces in groups:
        left = [remainders(planes_of(face)) for face in faces]
        for number, (image, face) in enumerate(zip(images, faces, strict=True)):
            for likeness in likenesses(image, face, limits=low):
                found[likeness.measure].append(likeness.value)
            for stranger in (left[number - shift] for shift in range(1, 1 + STRANGERS)):
                for measure, value in inverted_correlations(planes_of(image)[:3], stranger).items():
                    found[measure].append(value)
            shown = grey_levels(image)
            for levels in beside:
                for measure, value in zip(LEVELS, nearness(shown, levels), strict=True):
                    found[measure].append(value)
    return found


def greyed(face: Pixels) -> Pixels:
    """A face as a black-and-white photo has it."""
    grey = np.rint(face @ LUMINANCE).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def limit_above(measure: str, highest: float) -> float:
    """A limit that what was seen stays clear of."""
    if measure == JUDGE:
        # no cosine exceeds 1: its distance to 1 counts
        return 1 - (1 - highest) / MARGIN
    return highest * MARGIN

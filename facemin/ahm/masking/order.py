"""Order of frequency channels in which no strong one lands where its place still shows the face.

A recogniser reads any order. To an eye, and to whoever averages, differences or changes signs of neighbouring pixels, a
moved channel shows the face where the pattern of its new place answers to that of its old one: the slope across a block
at the place of another pattern that is odd across and even down, or at that of the steepest one, whose signs alternate.
Patterns of other parity are orthogonal under averages and differences of whole pairs and fours of pixels; so each
strong channel goes to one of these, and not to one that alternating signs turn into its own.

An order drawn by chance shows the face in one photo of two (experiments/keys/frequency_mask.py).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from facemin.ahm.masking.frequency import BLOCK, FREQUENCIES, dct_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FALL = 1.5
"""Amplitudes of a face's channels fall with their frequency to this power."""
CHROMA = 0.2
"""Amplitude of a colour's channel, beside luminance."""
SAME_PARITY, ALTERNATING = 0.03, 0.04
"""Least amplitude, and amplitude left by alternating signs, that shows; the first luminance slope's is 1."""


def hiding_order(channels: Sequence[int], generator: np.random.Generator) -> list[int]:
    """Where each channel goes among the channels' places: by chance, but that none shows the face where it can be had.

    Strong channels first, each that would show is exchanged for one drawn among those where neither then does. An order
    that shows nothing is left as it was drawn.

    Args:
        channels: 64 c + 8 u + v, ascending.
        generator: decides everything.

    Returns:
        A permutation of the channels.
    """
    numbers = np.array(channels)
    places = numbers[generator.permutation(len(numbers))]
    shown = shows()
    for channel in np.argsort(-amplitudes()[numbers], kind="stable"):
        if not shown[numbers[channel], places[channel]]:
            continue
        fits = np.flatnonzero(~shown[numbers[channel], places] & ~shown[numbers, places[channel]])
        # few channels may leave none
        if len(fits):
            other = fits[generator.integers(len(fits))]
            places[[channel, other]] = places[[other, channel]]
    return [int(place) for place in places]


@cache
def shows() -> NDArray[np.bool_]:
    """Whether a channel shows the face at a place, (192, 192): channels by places."""
    down, across = np.divmod(np.arange(3 * FREQUENCIES) % FREQUENCIES, BLOCK)
    parity = 2 * (down % 2) + across % 2
    shown = (parity[:, None] == parity) & (amplitudes() > SAME_PARITY)[:, None]
    return np.asarray(shown | (left_by_signs() > ALTERNATING))


def left_by_signs() -> NDArray[np.float64]:
    """Amplitude of a channel that is left of it at a place once signs alternate down, across or both, (192, 192)."""
    down, across = np.divmod(np.arange(3 * FREQUENCIES) % FREQUENCIES, BLOCK)
    patterns = dct_matrix().numpy()
    plain = np.eye(BLOCK)
    signs = np.abs(patterns @ (patterns * np.where(np.arange(BLOCK) % 2, -1, 1)).T)
    strongest = np.maximum.reduce(
        [a[down][:, down] * b[across][:, across] for a, b in ((plain, signs), (signs, plain), (signs, signs))]
    )
    return np.asarray(amplitudes()[:, None] * strongest)


@cache
def amplitudes() -> NDArray[np.float64]:
    """How strong a face's channels are, (192,), beside the first luminance slope; DC as that is."""
    down, across = np.divmod(np.arange(FREQUENCIES), BLOCK)
    fall = np.maximum(np.hypot(down, across), 1) ** -FALL
    return np.concatenate([fall, CHROMA * fall, CHROMA * fall])

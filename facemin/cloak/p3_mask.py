"""P3-Mask: one personalised mask learnt across a person's photos, within a bound and a budget of visible change.

Source: Chow, Hu, Huang and Liu, Personalized Privacy Protection Mask Against Unauthorized Facial Recognition, 2024
(Chameleon): minimise -sum_m arccos<f_m(x), f_m(x + P)> + lambda * max(0, DSIM(x, x + P) - tau) by steps of the
gradient's sign over the person's photos.

Ours, and not the paper's: what `UniversalMask` says, and the angle taken from the chord, whose slope does not vanish at
the start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from facemin.cloak.universal import PersonSeen, UniversalMask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_POLE = 1 - 1e-4
"""Beyond this sine the slope of the arc is all but infinite."""
_TINY = 1e-12


@dataclass(frozen=True, kw_only=True)
class P3Mask(UniversalMask):
    """Fit a personalised privacy protection mask; settings as `UniversalMask` has them."""

    @property
    def name(self) -> str:
        """Of the method."""
        return "p3-mask"

    def _distances(self, moved: Sequence[Tensor], rows: Tensor, seen: PersonSeen, taken: int) -> Tensor:
        """Angles between moved and plain features, added over the team."""
        del taken
        sines = [_chord(each, own[rows]) / 2 for each, own in zip(moved, seen.features, strict=True)]
        return torch.stack([2 * sine.clamp_max(_POLE).arcsin() for sine in sines]).sum(0)


def _chord(moved: Tensor, plain: Tensor) -> Tensor:
    # as the arc cosine of the product, but with a slope where they are nearly the same, which is where all masks begin
    return ((moved - plain).square().sum(1) + _TINY).sqrt()
